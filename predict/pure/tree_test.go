package pure

import (
	"math"
	"math/rand/v2"
	"testing"
)

// randomTrees are trees of every depth up to one, with whole numbers as thresholds.
func randomTrees(rng *rand.Rand, trees, depth, features int) *treeSettings {
	t := &treeSettings{targets: 1}
	for tree := range trees {
		next := int64(0)
		var grow func(left int) int64
		grow = func(left int) int64 {
			id := next
			next++
			at := len(t.trees)
			t.trees, t.ids = append(t.trees, int64(tree)), append(t.ids, id)
			t.modes, t.values = append(t.modes, "LEAF"), append(t.values, 0)
			t.features, t.yes, t.no = append(t.features, 0), append(t.yes, 0), append(t.no, 0)
			if left == 0 || id > 0 && rng.IntN(5) == 0 {
				t.wTrees, t.wIDs, t.wTargets = append(t.wTrees, int64(tree)), append(t.wIDs, id), append(t.wTargets, 0)
				t.weights = append(t.weights, float64(rng.IntN(1000)))
				return id
			}
			t.modes[at], t.values[at], t.features[at] = "BRANCH_LEQ", float64(rng.IntN(9)-4), int64(rng.IntN(features))
			yes := grow(left - 1)
			no := grow(left - 1)
			t.yes[at], t.no[at] = yes, no
			return id
		}
		grow(depth)
	}
	return t
}

// Four trees at once end at the leaves that each ends at alone: on thresholds, beside them, and at NaN.
func TestTreesAtOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, depth := range []int{0, 1, 3, 6, maxDeep + 2} {
		for trees := 1; trees < 11; trees++ {
			shape := depth
			if depth > maxDeep { // one long way, not a whole tree of it
				shape = 5
			}
			e, err := build[float32](randomTrees(rng, trees, shape, 4))
			if err != nil {
				t.Fatal(err)
			}
			if depth > maxDeep {
				for i := range e.deep {
					e.deep[i] = 0
				}
			}
			for range 50 {
				x := make([]float32, 4)
				for i := range x {
					x[i] = float32(rng.IntN(11)-5) + float32(rng.IntN(2))/2
					if rng.IntN(8) == 0 {
						x[i] = float32(math.NaN())
					}
				}
				for first := 0; first < trees; first += 4 {
					leaves, n := e.four(first, x)
					for i := range n {
						if want := e.leafOf(e.roots[first+i], x); leaves[i] != want {
							t.Fatalf("%d trees of depth %d, %v: tree %d ends at %d, want %d", trees, depth, x, first+i, leaves[i], want)
						}
					}
				}
			}
		}
	}
}

func BenchmarkTrees(b *testing.B) {
	e, err := build[float32](randomTrees(rand.New(rand.NewPCG(7, 8)), 100, 6, 10))
	if err != nil {
		b.Fatal(err)
	}
	rng, rows, sum := rand.New(rand.NewPCG(9, 10)), make([][]float32, 1<<12), int32(0)
	for i := range rows { // which no processor learns by heart
		for range 10 {
			rows[i] = append(rows[i], float32(rng.IntN(11)-5))
		}
	}
	row := 0
	b.Run("four at once", func(b *testing.B) {
		for b.Loop() {
			row = (row + 1) % len(rows)
			x := rows[row]
			for first := 0; first < len(e.roots); first += 4 {
				leaves, _ := e.four(first, x)
				sum += leaves[0]
			}
		}
	})
	b.Run("one by one", func(b *testing.B) {
		for b.Loop() {
			row = (row + 1) % len(rows)
			x := rows[row]
			for _, root := range e.roots {
				sum += e.leafOf(root, x)
			}
		}
	})
	_ = sum
}
