package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Lease is a claim's, kept by heartbeats. Its context ends with the cause ErrLeaseLost when the dispatcher
// says so, or at its end.
type Lease struct {
	Context context.Context
	lose    context.CancelCauseFunc
	expiry  *time.Timer
	stop    chan struct{}
	beats   sync.WaitGroup
}

// KeepLease begins to renew a claim's lease (LSE-2). A context that ends by a signal does not end the lease:
// its task still has to be reported.
func KeepLease(ctx context.Context, dispatcher *Dispatcher, claim Claim, logger *slog.Logger) *Lease {
	kept, lose := context.WithCancelCause(context.WithoutCancel(ctx))
	lease := &Lease{
		Context: kept,
		lose:    lose,
		expiry:  time.AfterFunc(time.Until(claim.LeaseEnd), func() { lose(ErrLeaseLost) }),
		stop:    make(chan struct{}),
	}
	every := max(time.Until(claim.LeaseEnd)/3, 100*time.Millisecond)
	lease.beats.Go(func() { lease.beat(dispatcher, claim, every, logger) })
	return lease
}

func (l *Lease) beat(dispatcher *Dispatcher, claim Claim, every time.Duration, logger *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.Context.Done():
			return
		case <-ticker.C:
		}
		end, err := dispatcher.Heartbeat(l.Context, claim)
		switch {
		case errors.Is(err, ErrLeaseLost):
			l.lose(err)
		case err != nil:
			logger.Warn("the lease was not renewed", "error", err)
		default:
			l.expiry.Reset(time.Until(end))
		}
	}
}

// StopRenewing ends the heartbeats; the lease holds until its end, which is time for the report.
func (l *Lease) StopRenewing() {
	close(l.stop)
	l.beats.Wait()
}

// Release gives up what the lease holds of this process.
func (l *Lease) Release() {
	l.expiry.Stop()
	l.lose(nil)
}
