package main

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// reader reads variables and keeps what is wrong with them. A variable that is empty counts as unset.
type reader struct {
	getenv   func(string) string
	problems []error
}

func (r *reader) refuse(name, what string) {
	r.problems = append(r.problems, fmt.Errorf("%s %s", name, what))
}

func (r *reader) text(name, unset string) string {
	if value := r.getenv(name); value != "" {
		return value
	}
	return unset
}

func (r *reader) required(name string) string {
	value := r.getenv(name)
	if value == "" {
		r.refuse(name, "must be set")
	}
	return value
}

func (r *reader) oneOf(name, unset, other string) string {
	value := r.text(name, unset)
	if value != unset && value != other {
		r.refuse(name, fmt.Sprintf("must be %q or %q", unset, other))
	}
	return value
}

func (r *reader) positive(name string, unset int64) int64 {
	value, err := strconv.ParseInt(r.text(name, strconv.FormatInt(unset, 10)), 10, 64)
	if err != nil || value < 1 {
		r.refuse(name, "must be a positive integer")
	}
	return value
}

func (r *reader) duration(name string, unset float64, unit time.Duration) time.Duration {
	value, err := strconv.ParseFloat(r.text(name, strconv.FormatFloat(unset, 'f', -1, 64)), 64)
	total := value * float64(unit)
	if err != nil || !(total >= 0 && total < math.MaxInt64) {
		r.refuse(name, "must be a number, 0 or more")
		return 0
	}
	return time.Duration(total)
}
