package predict

import (
	"runtime"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// A refusal costs little, however many categories a bundle lists.
func TestUnknownCategoriesCostLittle(t *testing.T) {
	values := make([]string, 10000)
	for i := range values {
		values[i] = strings.Repeat("v", 700)
	}
	columns := newTable([]bundle.Column{{Name: "c", Input: "c", Type: bundle.Category, Values: values}})
	row := tensor.Tensor{Shape: []int64{1, 1}, Data: []string{"other"}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		if err := columns.check("c", row); err == nil || !strings.Contains(err.Error(), `unknown category "other": send one of vvv`) {
			t.Fatalf("got %v", err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / 100; each > 64<<10 {
		t.Errorf("a refusal takes %d KB", each>>10)
	}
}

// A refusal quotes the empty category in its list, where it would be invisible.
func TestAnEmptyCategoryIsListed(t *testing.T) {
	columns := newTable([]bundle.Column{{Name: "c", Input: "c", Type: bundle.Category, Values: []string{"", "Oslo"}}})
	row := tensor.Tensor{Shape: []int64{1, 1}, Data: []string{"Paris"}}
	if err := columns.check("c", row); err == nil || !strings.HasSuffix(err.Error(), `send one of "", Oslo`) {
		t.Errorf("got %v", err)
	}
	if err := columns.check("c", tensor.Tensor{Shape: []int64{1, 1}, Data: []string{""}}); err != nil {
		t.Error(err)
	}
}
