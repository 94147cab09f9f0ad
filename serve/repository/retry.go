package repository

// Retries of loads that failed for want of memory or other passing reasons.

import (
	"errors"
	"syscall"
	"time"
)

// passing lists errors of the machine rather than the bundle.
var passing = []error{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT,
}

// Pauses before a retry. Each is twice the previous one.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// retry says when to try a load again. The zero value means never.
type retry struct {
	at    time.Time
	delay time.Duration
}

// after plans the retry that follows a load.
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
