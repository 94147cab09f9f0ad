package pure

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomTrees are trees of every depth up to one, with whole numbers as thresholds, that compare in some of the modes.
func randomTrees(rng *rand.Rand, trees, depth, features int, modes ...string) *treeSettings {
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
			if left == 0 || id > 0 && rng.IntN(5) == 0 && depth <= maxDeep {
				t.wTrees, t.wIDs, t.wTargets = append(t.wTrees, int64(tree)), append(t.wIDs, id), append(t.wTargets, 0)
				t.weights = append(t.weights, rng.NormFloat64())
				return id
			}
			t.modes[at], t.values[at], t.features[at] = modes[rng.IntN(len(modes))], float64(rng.IntN(9)-4), int64(rng.IntN(features))
			shorter := left - 1
			if depth > maxDeep { // one long way, not a whole tree of it
				shorter = 0
			}
			yes := grow(shorter)
			no := grow(left - 1)
			t.yes[at], t.no[at] = yes, no
			return id
		}
		grow(depth)
	}
	return t
}

// Trees walked at once end at the leaves that each ends at alone: on thresholds, beside them, and at NaN.
func TestTreesAtOnce(t *testing.T) {
	t.Run("float32", func(t *testing.T) { treesAtOnce[float32](t) })
	t.Run("float64", func(t *testing.T) { treesAtOnce[float64](t) })
}

func treesAtOnce[T float](t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		modes   []string
		missing bool // whether a missing value may take the yes branch
		fast    bool // whether trees are walked at once
	}{
		{[]string{"BRANCH_LEQ"}, false, true},
		{[]string{"BRANCH_LEQ", "BRANCH_LT"}, false, true},
		{[]string{"BRANCH_LEQ"}, true, true},
		{[]string{"BRANCH_LT"}, true, true},
		{[]string{"BRANCH_GT"}, false, true},
		{[]string{"BRANCH_GTE"}, true, true},
		{[]string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"}, true, true},
		{[]string{"BRANCH_LEQ", "BRANCH_EQ"}, false, false},
		{[]string{"BRANCH_NEQ"}, true, false},
	} {
		for _, depth := range []int{0, 1, 3, 6, maxDeep + 1} {
			for _, trees := range []int{1, 2, 3, 5, 7, 8, 9, 12, 17} {
				settings := randomTrees(rng, trees, depth, 4, c.modes...)
				for i := 0; c.missing && i < len(settings.trees); i++ {
					settings.missing = append(settings.missing, int64(rng.IntN(2)))
				}
				settings.indices = rng.IntN(2) == 0
				e, err := build[T](settings)
				if err != nil {
					t.Fatal(err)
				}
				if packed := e.fast.nodes != nil; packed != (c.fast && depth <= maxDeep) && depth > 2 && trees > 4 {
					t.Errorf("%v, depth %d: packed: %t", c.modes, depth, packed)
				}
				w, err := e.walker(&value{memory: &memory{left: 1 << 20}}, &value{memory: &memory{left: 1 << 20}})
				if err != nil {
					t.Fatal(err)
				}
				for range 50 {
					x := make([]T, 4)
					for i := range x {
						x[i] = T(rng.IntN(11)-5) + T(rng.IntN(2))/2
						switch rng.IntN(16) {
						case 0:
							x[i] = T(math.NaN())
						case 1:
							x[i] = T(math.Inf(rng.IntN(2)*2 - 1))
						}
					}
					want, total := make([]T, trees), T(0)
					for i, root := range e.roots {
						at := e.leafOf(root, x)
						if want[i] = T(at); e.fast.single {
							want[i] = e.weights[e.nodes[at].yes].weight
						}
						total += want[i]
					}
					got, sum := e.leaves(&w, x)
					if !slices.Equal(got, want) || sum != total {
						t.Fatalf("%v, %d trees of depth %d, %v: got %v, %v together, want %v, %v", c.modes, trees, depth, x, got, sum, want, total)
					}
					if e.fast.nodes != nil {
						if sum := e.fast.plain(w.row, w.leaves); !slices.Equal(w.leaves[:trees], want) || sum != total {
							t.Fatalf("%v, %d trees of depth %d, %v: without assembly %v, %v together, want %v, %v", c.modes, trees, depth, x, w.leaves[:trees], sum, want, total)
						}
					}
				}
			}
		}
	}
}

// Nothing is less than -Inf, so a missing value that goes where such values go is followed tree by tree.
func TestMissingValueAmongNone(t *testing.T) {
	for _, mode := range []string{"BRANCH_LT", "BRANCH_GTE"} {
		for _, missing := range []int64{0, 1} {
			e, err := build[float32](&treeSettings{
				targets: 1, trees: []int64{0, 0, 0}, ids: []int64{0, 1, 2}, features: []int64{0, 0, 0}, yes: []int64{1, 0, 0}, no: []int64{2, 0, 0},
				modes: []string{mode, "LEAF", "LEAF"}, values: []float64{math.Inf(-1), 0, 0}, missing: []int64{missing, 0, 0},
				wTrees: []int64{0, 0}, wIDs: []int64{1, 2}, wTargets: []int64{0, 0}, weights: []float64{1, 2},
			})
			if err != nil {
				t.Fatal(err)
			}
			w, err := e.walker(&value{memory: &memory{left: 1 << 20}}, &value{memory: &memory{left: 1 << 20}})
			if err != nil {
				t.Fatal(err)
			}
			want := float32(2 - missing)
			if _, got := e.leaves(&w, []float32{float32(math.NaN())}); got != want {
				t.Errorf("%s, missing values go to yes: %d: got %v, want %v", mode, missing, got, want)
			}
		}
	}
}

// Nodes may share a child, as the tests for the categories of one side do; any number of paths leads to the same leaf.
func TestTreesWithSharedNodes(t *testing.T) {
	const deep = 40 // with a place for each path there would be 2^40
	s := &treeSettings{targets: 1}
	add := func(mode string, value float64, yes, no int64) {
		s.trees, s.ids, s.features = append(s.trees, 0), append(s.ids, int64(len(s.ids))), append(s.features, 0)
		s.modes, s.values, s.yes, s.no = append(s.modes, mode), append(s.values, value), append(s.yes, yes), append(s.no, no)
	}
	for i := range int64(deep) {
		add("BRANCH_LEQ", float64(i), i+1, i+1)
	}
	add("BRANCH_EQ", 3, deep+2, deep+1)
	add("BRANCH_EQ", 5, deep+2, deep+3)
	add("LEAF", 0, 0, 0)
	add("LEAF", 0, 0, 0)
	e, err := build[float32](s)
	if err != nil {
		t.Fatal(err)
	}
	for x, want := range map[float32]int32{3: deep + 2, 5: deep + 2, 4: deep + 3, -1: deep + 3, float32(math.NaN()): deep + 3} {
		if got := e.leafOf(e.roots[0], []float32{x}); got != want {
			t.Errorf("%v ends at %d, want %d", x, got, want)
		}
	}
}

// Nothing is between a threshold and the one below it.
func TestBelow(t *testing.T) {
	for _, x := range []float64{0, 1, -1, 0.1, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, math.Inf(1)} {
		narrow := float32(x)
		if got := below(narrow); !(got < narrow) || math.Nextafter32(got, float32(math.Inf(1))) != narrow {
			t.Errorf("below %v is %v", narrow, got)
		}
		if got := below(x); !(got < x) || math.Nextafter(got, math.Inf(1)) != x {
			t.Errorf("below %v is %v", x, got)
		}
	}
	if got := below(math.Inf(-1)); got == got {
		t.Errorf("below the least is %v", got)
	}
	if got := below(float32(math.Inf(-1))); got == got {
		t.Errorf("below the least is %v", got)
	}
}

// Trees that say where missing values go, by rows that have all values and rows that do not.
func BenchmarkMissing(b *testing.B) {
	rng := rand.New(rand.NewPCG(7, 8))
	settings := randomTrees(rng, 100, 6, 10, "BRANCH_LT")
	for range settings.trees {
		settings.missing = append(settings.missing, int64(rng.IntN(2)))
	}
	e, err := build[float32](settings)
	if err != nil {
		b.Fatal(err)
	}
	w, err := e.walker(&value{memory: &memory{left: 1 << 20}}, &value{memory: &memory{left: 1 << 20}})
	if err != nil {
		b.Fatal(err)
	}
	for name, missing := range map[string]int{"none": 0, "one": 1} {
		rows := make([][]float32, 64)
		for i := range rows {
			for range 10 {
				rows[i] = append(rows[i], float32(rng.IntN(11)-5))
			}
			if missing > 0 {
				rows[i][rng.IntN(10)] = float32(math.NaN())
			}
		}
		b.Run(name, func(b *testing.B) {
			row := 0
			for b.Loop() {
				row = (row + 1) % len(rows)
				e.leaves(&w, rows[row])
			}
		})
	}
}

func BenchmarkTrees(b *testing.B) {
	e, err := build[float32](randomTrees(rand.New(rand.NewPCG(7, 8)), 100, 6, 10, "BRANCH_LT"))
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
	w, err := e.walker(&value{memory: &memory{left: 1 << 20}}, &value{memory: &memory{left: 1 << 20}})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("at once", func(b *testing.B) {
		for b.Loop() {
			row = (row + 1) % len(rows)
			_, s := e.leaves(&w, rows[row])
			sum += int32(s)
		}
	})
	b.Run("at once in plain Go", func(b *testing.B) {
		for b.Loop() {
			row = (row + 1) % len(rows)
			copy(w.row, rows[row])
			sum += int32(e.fast.plain(w.row, w.leaves))
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
