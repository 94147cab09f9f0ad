package predict_test

import (
	"testing"

	"github.com/forgo-ml/forgo/internal/memorytest"
)

func residentKiB(t *testing.T) int {
	t.Helper()
	return int(memorytest.Resident(t) >> 10)
}
