package repository

// Loads that failed for want of room, which may be there a moment later.

import (
	"errors"
	"syscall"
	"time"
)

// passing are errors of the machine and not of the bundle.
var passing = []error{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT,
}

// How long to wait before a load is tried again: twice as long each time.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// retry says when a load is to be tried again. The zero value is never.
type retry struct {
	at    time.Time
	delay time.Duration
}

// after plans what follows a load.
func (t *retry) after(err error) {
	for _, p := range passing {
		if errors.Is(err, p) {
			t.delay = min(max(2*t.delay, firstRetry), lastRetry)
			t.at = time.Now().Add(t.delay)
			return
		}
	}
	*t = retry{}
}

func (t *retry) waiting() bool { return !t.at.IsZero() }

func (t *retry) due() bool { return t.waiting() && !time.Now().Before(t.at) }
