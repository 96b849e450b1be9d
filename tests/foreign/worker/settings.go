package main

import (
	"errors"
	"path/filepath"
	"strings"
	"time"
)

// The two modes of MOD-1.
const (
	ModeFake = "fake"
	ModeReal = "real"
)

// Settings is what the worker reads from its environment, once, at start-up.
type Settings struct {
	Mode        string
	CryoBin     string
	Deadline    time.Duration
	StagingRoot string
	StagingTTL  time.Duration
	Caps        Caps

	DispatcherURL, WorkerToken         string
	QueueURL, SQSEndpoint              string
	Bucket, S3Endpoint, Region         string
	AccessKey, SecretKey, SessionToken string
	getenv                             func(string) string
}

// ReadSettings reads the environment. Its error names every variable that can't be used.
func ReadSettings(getenv func(string) string) (Settings, error) {
	r := reader{getenv: getenv}
	settings := Settings{
		Mode:        r.oneOf("TRACE_CRYO_MODE", ModeFake, ModeReal),
		CryoBin:     r.text("TRACE_CRYO_BIN", "cryo"),
		Deadline:    r.duration("TRACE_CRYO_DEADLINE_SECONDS", 3600, time.Second),
		StagingRoot: r.text("TRACE_CRYO_STAGING_ROOT", "/tmp/trace/cryo"),
		StagingTTL:  r.duration("TRACE_CRYO_STAGING_TTL_HOURS", 24, time.Hour),
		Caps: Caps{
			Files:      r.positive("MAX_PARQUET_FILES_PER_RANGE", 256),
			FileBytes:  r.positive("MAX_PARQUET_BYTES_PER_FILE", 512<<20),
			TotalBytes: r.positive("MAX_TOTAL_PARQUET_BYTES_PER_RANGE", 2<<30),
		},
		DispatcherURL: strings.TrimRight(r.required("DISPATCHER_URL"), "/"),
		WorkerToken:   r.required("TRACE_WORKER_TOKEN"),
		QueueURL:      r.required("TASK_WAKEUP_QUEUE"),
		SQSEndpoint:   r.text("SQS_ENDPOINT", ""),
		Bucket:        r.required("S3_BUCKET"),
		S3Endpoint:    r.text("S3_ENDPOINT", ""),
		Region:        r.text("AWS_REGION", "us-east-1"),
		AccessKey:     r.required("AWS_ACCESS_KEY_ID"),
		SecretKey:     r.required("AWS_SECRET_ACCESS_KEY"),
		SessionToken:  r.text("AWS_SESSION_TOKEN", ""),
		getenv:        getenv,
	}
	if !filepath.IsAbs(settings.StagingRoot) {
		r.refuse("TRACE_CRYO_STAGING_ROOT", "must be an absolute path")
	}
	return settings, errors.Join(r.problems...)
}

// RPCURL resolves a pool's name (MOD-4, MOD-6). Of several URLs in one variable it takes the first.
func (s Settings) RPCURL(pool string) (string, error) {
	own := "TRACE_RPC_POOL_" + poolName(pool) + "_URL"
	for _, name := range []string{own, "TRACE_CRYO_RPC_URL"} {
		if urls := strings.Fields(s.getenv(name)); len(urls) > 0 {
			return urls[0], nil
		}
	}
	return "", Fatalf("the RPC pool %q has no URL: set %s or TRACE_CRYO_RPC_URL", pool, own)
}

// poolName is MOD-6: upper-cased, every character outside A-Z 0-9 turned into an underscore.
func poolName(pool string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, pool)
}
