package observe

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// So many refusals are logged in a second, and the next second says how many were not.
func TestRefusalsAreLoggedAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log, r := slog.New(slog.NewJSONHandler(&text, nil)), rate{}
		logged := func(tries int) (n int) {
			for range tries {
				if r.allow(t.Context(), log) {
					n++
				}
			}
			return n
		}
		if n := logged(1000); n != perSecond || text.Len() > 0 {
			t.Errorf("%d of 1000 in the first second, and %s", n, &text)
		}
		time.Sleep(time.Second)
		if n := logged(perSecond); n != perSecond || strings.Count(text.String(), "not_logged") != 1 || !strings.Contains(text.String(), `"not_logged":900`) {
			t.Errorf("%d in the next second, and %s", n, &text)
		}
		text.Reset()
		time.Sleep(time.Second)
		if n := logged(1); n != 1 || text.Len() > 0 {
			t.Errorf("%d in the third, and %s", n, &text)
		}
	})
}
