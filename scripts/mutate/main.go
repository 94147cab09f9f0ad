// Mutate writes a copy of a package that holds all its mutants at once. FORGO_MUTANT chooses one when the
// package's tests run, so that a package is compiled once and not once a mutant; scripts/mutation.py calls it.
//
//	go run ./scripts/mutate -o FOLDER [-drop 3,7] PACKAGE_FOLDER
//
// It writes the files and overlay.json for go test -overlay into the folder, and prints the mutants as JSON. With
// FORGO_MUTANT=0 the package does what it did. FORGO_MUTANT_REACHED names a file that gets the number of every
// mutant that is reached.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mutant is one change, which the driver finds by where the old text begins.
type mutant struct {
	ID          int
	File        string
	At          int // in bytes
	Old, New    string
	First, Last int // lines: where one does not compile, none of its lines' mutants is kept
}

type edit struct {
	at, until int // until is at, but where text is replaced
	text      string
}

// file is one that is being changed.
type file struct {
	name    string
	src     []byte
	set     *token.FileSet
	drop    map[int]bool
	next    *int
	mutants []mutant
	edits   []edit
}

func main() {
	log.SetFlags(0)
	out := flag.String("o", "", "folder to write to")
	drop := flag.String("drop", "", "numbers of mutants to leave out, separated by commas")
	flag.Parse()
	if err := run(*out, *drop, flag.Arg(0)); err != nil {
		log.Fatal("mutate: ", err)
	}
}

func run(out, drop, folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	pkg, err := build.ImportDir(folder, 0)
	if err != nil {
		return err
	}
	dropped := map[int]bool{}
	for _, id := range strings.FieldsFunc(drop, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(id)
		if err != nil {
			return err
		}
		dropped[n] = true
	}
	next, overlay, mutants := 0, map[string]string{}, []mutant{}
	write := func(name string, data []byte) error {
		overlay[filepath.Join(folder, name)] = filepath.Join(out, name)
		return os.WriteFile(filepath.Join(out, name), data, 0o600)
	}
	for _, name := range pkg.GoFiles {
		src, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		f := file{name: filepath.Join(folder, name), src: src, set: token.NewFileSet(), drop: dropped, next: &next}
		parsed, err := parser.ParseFile(f.set, f.name, src, parser.ParseComments)
		if err != nil {
			return err
		}
		if ast.IsGenerated(parsed) {
			continue
		}
		ast.Inspect(parsed, f.visit)
		mutants = append(mutants, f.mutants...)
		if err := write(name, f.changed()); err != nil {
			return err
		}
	}
	if err := write("mutant_chosen.go", []byte("package "+pkg.Name+chosen)); err != nil {
		return err
	}
	replace, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "overlay.json"), replace, 0o600); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(mutants)
}

// changed applies the edits. Those at one place keep their order, insertions first.
func (f *file) changed() []byte {
	slices.SortStableFunc(f.edits, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(min(1, a.until-a.at), min(1, b.until-b.at)))
	})
	var out []byte
	at := 0
	for _, e := range f.edits {
		out = append(append(out, f.src[at:e.at]...), e.text...)
		at = e.until
	}
	return append(out, f.src[at:]...)
}

func (f *file) offset(p token.Pos) int { return f.set.Position(p).Offset }

// add numbers a mutant, or returns 0 where it is dropped.
func (f *file) add(n ast.Node, at token.Pos, old, changed string) int {
	*f.next++
	if f.drop[*f.next] {
		return 0
	}
	f.mutants = append(f.mutants, mutant{
		*f.next, f.name, f.offset(at), old, changed,
		f.set.Position(n.Pos()).Line, f.set.Position(n.End()).Line,
	})
	return *f.next
}

// around puts text before and after a node. Outer nodes come first: what opens at one place is in order, and what
// closes there is in reverse.
func (f *file) around(n ast.Node, before, after string) {
	f.insert(f.offset(n.Pos()), before)
	end := f.offset(n.End())
	first := slices.IndexFunc(f.edits, func(e edit) bool { return e.at == end && e.until == end })
	if first < 0 {
		f.insert(end, after)
		return
	}
	f.edits = slices.Insert(f.edits, first, edit{end, end, after})
}

func (f *file) insert(at int, text string) { f.edits = append(f.edits, edit{at, at, text}) }

func (f *file) replace(at token.Pos, old, text string) {
	f.edits = append(f.edits, edit{f.offset(at), f.offset(at) + len(old), text})
}

var swaps = map[token.Token]string{
	token.EQL: "!=", token.NEQ: "==", token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.LAND: "||", token.LOR: "&&",
	token.ADD: "-", token.SUB: "+", token.MUL: "/", token.ADD_ASSIGN: "-=", token.SUB_ASSIGN: "+=",
}

// called are the functions that take an operator's place.
var called = map[token.Token]string{
	token.LSS: "mutantLess", token.LEQ: "mutantAtMost", token.GTR: "mutantMore", token.GEQ: "mutantAtLeast",
	token.ADD: "mutantSum", token.SUB: "mutantDifference", token.MUL: "mutantProduct",
	token.ADD_ASSIGN: "mutantSum", token.SUB_ASSIGN: "mutantDifference",
}

func (f *file) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok == token.VAR
	case *ast.ArrayType, *ast.StructType, *ast.InterfaceType, *ast.FuncType:
		return false
	case *ast.IfStmt:
		if x, ok := n.Cond.(*ast.BinaryExpr); ok && n.Init == nil && (x.Op == token.EQL || x.Op == token.NEQ) && f.text(x.X) == "err" && f.text(x.Y) == "nil" {
			if id := f.add(x, x.Pos(), f.text(x), f.text(x)+" && false"); id != 0 {
				f.around(x, "(", fmt.Sprintf(") && !mutant(%d)", id))
			}
		}
	case *ast.BinaryExpr:
		f.binary(n)
	case *ast.AssignStmt:
		if name, ok := called[n.Tok]; ok {
			if id := f.add(n, n.TokPos, n.Tok.String(), swaps[n.Tok]); id != 0 {
				f.replace(n.TokPos, n.Tok.String(), fmt.Sprintf("= %s(%d, %s, ", name, id, f.text(n.Lhs[0])))
				f.around(n.Rhs[0], "", ")")
			}
		}
	case *ast.Ident:
		if n.Name == "true" || n.Name == "false" {
			if id := f.add(n, n.Pos(), n.Name, strconv.FormatBool(n.Name != "true")); id != 0 {
				f.around(n, "(", fmt.Sprintf(" != mutant(%d))", id))
			}
		}
	case *ast.CallExpr:
		if fun, ok := n.Fun.(*ast.Ident); ok && (fun.Name == "min" || fun.Name == "max") {
			other := map[string]string{"min": "max", "max": "min"}[fun.Name]
			if id := f.add(n, fun.Pos(), fun.Name, other); id != 0 {
				f.replace(fun.Pos(), fun.Name+"(", fmt.Sprintf("mutant%s(%d, ", strings.ToUpper(fun.Name[:1])+fun.Name[1:], id))
			}
		}
	case *ast.BranchStmt:
		if n.Tok == token.CONTINUE && n.Label == nil {
			if id := f.add(n, n.Pos(), "continue", "break"); id != 0 {
				f.insert(f.offset(n.Pos()), fmt.Sprintf("if mutant(%d) { break }; ", id))
			}
		}
	}
	return true
}

func (f *file) text(n ast.Node) string { return string(f.src[f.offset(n.Pos()):f.offset(n.End())]) }

func (f *file) binary(n *ast.BinaryExpr) {
	other, ok := swaps[n.Op]
	if !ok {
		return
	}
	id := f.add(n, n.OpPos, n.Op.String(), other)
	switch {
	case id == 0:
	case n.Op == token.EQL || n.Op == token.NEQ:
		f.around(n, "((", fmt.Sprintf(") != mutant(%d))", id))
	case n.Op == token.LAND || n.Op == token.LOR: // De Morgan's law: what is evaluated, and when, stays
		f.around(n, "((", fmt.Sprintf(") != mutant(%d))", id))
		f.around(n.X, "((", fmt.Sprintf(") != mutant(%d))", id))
		f.around(n.Y, "((", fmt.Sprintf(") != mutant(%d))", id))
	default:
		f.around(n, fmt.Sprintf("%s(%d, ", called[n.Op], id), ")")
		f.replace(n.OpPos, n.Op.String(), ",")
	}
}

const chosen = `

import (
	"os"
	"strconv"
	"sync"
)

var (
	mutantChosen, _ = strconv.Atoi(os.Getenv("FORGO_MUTANT"))
	mutantsReached  = os.Getenv("FORGO_MUTANT_REACHED")
	mutantsSeen     sync.Map
)

func mutant(id int) bool {
	if mutantsReached != "" {
		if _, seen := mutantsSeen.LoadOrStore(id, nil); !seen {
			if f, err := os.OpenFile(mutantsReached, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				f.WriteString(strconv.Itoa(id) + "\n")
				f.Close()
			}
		}
	}
	return id == mutantChosen
}

type mutantNumber interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~float32 | ~float64
}

type mutantOrdered interface{ mutantNumber | ~string }

func mutantLess[T mutantOrdered](id int, a, b T) bool    { return a < b || mutant(id) && a == b }
func mutantMore[T mutantOrdered](id int, a, b T) bool    { return a > b || mutant(id) && a == b }
func mutantAtMost[T mutantOrdered](id int, a, b T) bool  { return a < b || a == b && !mutant(id) }
func mutantAtLeast[T mutantOrdered](id int, a, b T) bool { return a > b || a == b && !mutant(id) }

func mutantSum[T mutantNumber](id int, a, b T) T {
	if mutant(id) {
		return a - b
	}
	return a + b
}

func mutantDifference[T mutantNumber](id int, a, b T) T {
	if mutant(id) {
		return a + b
	}
	return a - b
}

func mutantProduct[T mutantNumber](id int, a, b T) T {
	if mutant(id) {
		return a / b
	}
	return a * b
}

func mutantMin[T mutantOrdered](id int, a T, more ...T) T {
	for _, b := range more {
		if mutant(id) {
			a = max(a, b)
		} else {
			a = min(a, b)
		}
	}
	return a
}

func mutantMax[T mutantOrdered](id int, a T, more ...T) T {
	for _, b := range more {
		if mutant(id) {
			a = min(a, b)
		} else {
			a = max(a, b)
		}
	}
	return a
}
`
