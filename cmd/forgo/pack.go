package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	forgo "github.com/forgo-ml/forgo"
	"github.com/forgo-ml/forgo/internal/packed"
	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
)

func packCommand() *cobra.Command {
	var load loadFlags
	var p packFlags
	cmd := &cobra.Command{
		Use:   "pack BUNDLE (-o APP | --dir DIR)",
		Short: "Write one program with a bundle inside",
		Long: "Pack proves a bundle, as forgo verify does, and writes a program that contains this binary and the bundle.\n" +
			"APP serves the bundle and takes the flags of forgo serve. APP predict FILE..., APP evaluate EXAMPLES,\n" +
			"APP verify, APP inspect and APP bench run forgo's verbs on it. If pure Go runs the bundle, as forgo inspect\n" +
			"shows, the program needs no other file. --dir writes the program into a folder, with ONNX Runtime's library\n" +
			"beside it if the bundle needs it.",
		Example: "  forgo pack digits.forgo -o digits\n" +
			"  ./digits predict seven.png\n" +
			"  forgo pack photos.forgo --dir photos",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (p.output == "") == (p.dir == "") {
				return usageError{errors.New("give -o APP, or --dir DIR")}
			}
			b, err := openBundle(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer b.Close()
			runs, err := packableEngine(b)
			if err != nil {
				return err
			}
			model, err := load.load(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			printable.Fprintf(cmd.ErrOrStderr(), "%s\n", model.Parity())
			if err := model.Close(); err != nil {
				return err
			}
			return p.run(cmd, args[0], b, runs)
		},
	}
	cmd.Flags().StringVarP(&p.output, "output", "o", "", "write the program to `APP`")
	cmd.Flags().StringVar(&p.dir, "dir", "", "write the program into the folder `DIR`, with the library that the bundle needs")
	cmd.Flags().BoolVar(&p.force, "force", false, "replace APP or DIR if it exists")
	for _, flag := range []string{"output", "dir", "force"} {
		commandLineOnly(cmd.Flags(), flag)
	}
	load.add(cmd.Flags())
	return cmd
}

type packFlags struct {
	output, dir string
	force       bool
}

// packableEngine returns the engine of a bundle, unless its library is not packed. Proving such a bundle first would only
// delay the refusal.
func packableEngine(b *bundle.Bundle) (predict.Engine, error) {
	engine, err := engineOf(allEngines(), b.Manifest.Engine)
	if err != nil {
		return nil, err
	}
	if info := engine.Info(); info.NotPacked != "" {
		return nil, &bundle.Error{Bundle: b.Path, Err: fmt.Errorf("it needs %s, whose library is %s: serve it with forgo, or export it for ONNX", info.Title, info.NotPacked)}
	}
	return engine, nil
}

func (p packFlags) run(cmd *cobra.Command, path string, b *bundle.Bundle, engine predict.Engine) error {
	info := engine.Info()
	pure, err := bundleInPure(b)
	if err != nil {
		return err
	}
	app := p.output
	if p.dir != "" {
		app = filepath.Join(p.dir, strings.TrimSuffix(bundleName(path), ".forgo")+exeSuffix())
		if err := os.MkdirAll(p.dir, 0o755); err != nil {
			return fmt.Errorf("pack: %w", err)
		}
		if pure.Why != "" {
			library, err := engine.Library()
			if err != nil {
				return err
			}
			if err := p.copyLibrary(cmd, library.Path, info.Name); err != nil {
				return err
			}
		}
	} else if pure.Why != "" {
		printable.Fprintf(cmd.ErrOrStderr(), "forgo: %s needs %s's library where it runs (%s): --dir DIR writes it beside the program\n", app, info.Title, pure.Why)
	}
	exe, err := executable()
	if err != nil {
		return err
	}
	if why := needsLoader(exe); why != "" {
		printable.Fprintf(cmd.ErrOrStderr(), "forgo: %s needs %s where it runs: a forgo built with CGO_ENABLED=0 and -tags static needs nothing\n", app, why)
	}
	if err := writeFile(app, p.force, func(to io.Writer) error { return writeApp(to, exe, b, bundleName(path)) }); err != nil {
		return err
	}
	if err := os.Chmod(app, 0o755); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	printable.Fprintf(cmd.OutOrStdout(), "%s\n", app)
	return nil
}

// copyLibrary copies an engine's library into the folder, with its licences if they lie above it, as in the packages of
// its maker.
func (p packFlags) copyLibrary(cmd *cobra.Command, library, engine string) error {
	type file struct{ from, to string }
	files := []file{{library, filepath.Base(library)}}
	for _, name := range []string{"LICENSE", "ThirdPartyNotices.txt"} {
		from := filepath.Join(filepath.Dir(library), "..", name)
		if info, err := os.Stat(from); err == nil && info.Mode().IsRegular() {
			files = append(files, file{from, engine + "-" + name})
		}
	}
	for _, f := range files {
		beside := filepath.Join(p.dir, f.to)
		if err := writeFile(beside, p.force, func(to io.Writer) error { return copyFile(to, f.from) }); err != nil {
			return err
		}
		printable.Fprintf(cmd.OutOrStdout(), "%s\n", beside)
	}
	return nil
}

// bundleName is the name of a bundle's folder, wherever it is.
func bundleName(path string) string {
	if path == own.name() {
		return own.folder
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return filepath.Base(path)
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// writeFile writes a file beside its path first. One that is there is replaced with force alone.
func writeFile(path string, force bool, write func(io.Writer) error) (err error) {
	if !force {
		claim, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("pack: %s already exists; --force replaces it", path)
		}
		if err != nil {
			return fmt.Errorf("pack: %w", err)
		}
		_ = claim.Close()
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".forgo-pack-*")
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
			if !force {
				_ = os.Remove(path)
			}
		}
	}()
	err = write(temp)
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	return nil
}

func copyFile(to io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(to, f)
	return err
}

// writeApp writes the program in a file, without what may be packed in it, with the bundle behind it.
func writeApp(to io.Writer, exe string, b *bundle.Bundle, name string) error {
	f, err := os.Open(exe)
	if err != nil {
		return err
	}
	defer f.Close()
	var program io.Reader = f
	if own != nil {
		program = io.LimitReader(f, own.archive.Program)
	}
	return packed.Write(to, program, func(file func(string) (io.Writer, error)) error {
		add := func(name string, data []byte) error {
			w, err := file(name)
			if err == nil {
				_, err = w.Write(data)
			}
			return err
		}
		bom, err := billOfMaterials()
		if err != nil {
			return err
		}
		if err := errors.Join(add(packedName, []byte(name)), add("sbom.cdx.json", bom), add("LICENSE", forgo.License), add("NOTICES", forgo.Notices)); err != nil {
			return err
		}
		return b.Each(func(file string, data []byte) error { return add(name+"/"+file, data) })
	})
}

// billOfMaterials lists what this program is made of, as CycloneDX.
func billOfMaterials() ([]byte, error) {
	type component struct {
		Type    string `json:"type"`
		Name    string `json:"name"`
		Version string `json:"version"`
		PURL    string `json:"purl"`
	}
	bom := struct {
		Format     string               `json:"bomFormat"`
		Spec       string               `json:"specVersion"`
		Version    int                  `json:"version"`
		Meta       map[string]component `json:"metadata"`
		Components []component          `json:"components"`
	}{Format: "CycloneDX", Spec: "1.6", Version: 1, Components: []component{}}
	bom.Meta = map[string]component{"component": {"application", "forgo", forgo.Version(), "pkg:golang/github.com/forgo-ml/forgo@" + forgo.Version()}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, errors.New("this binary does not say what it was built from")
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		bom.Components = append(bom.Components, component{"library", m.Path, m.Version, "pkg:golang/" + m.Path + "@" + m.Version})
	}
	version := strings.TrimPrefix(info.GoVersion, "go")
	bom.Components = append(bom.Components, component{"library", "std", version, "pkg:golang/std@" + version})
	return json.MarshalIndent(bom, "", " ")
}

// needsLoader says what an ELF program needs of the system to start; "" where that is nothing.
func needsLoader(exe string) string {
	f, err := elf.Open(exe)
	if err != nil {
		return ""
	}
	defer f.Close()
	libraries, _ := f.ImportedLibraries()
	interpreted := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if !interpreted && len(libraries) == 0 {
		return ""
	}
	return strings.Join(append([]string{"the system's loader"}, libraries...), ", ")
}

// executable is this program's file. In a root without /proc it is what the program was called as.
func executable() (string, error) {
	exe, err := os.Executable()
	if err == nil {
		return exe, nil
	}
	if path, failed := exec.LookPath(os.Args[0]); failed == nil {
		return path, nil
	}
	return "", fmt.Errorf("find this program's file: %w", err)
}

// packedName is the file that says which bundle is packed: the name of its folder.
const packedName = "forgo-pack"

// own returns the bundle that is packed in this program, or nil.
var own *ownBundle

type ownBundle struct {
	archive *packed.Archive
	folder  string
}

// name is the bundle's in place of a path, which none on disk has: a path has no NUL.
func (o *ownBundle) name() string {
	if o == nil {
		return "\x00"
	}
	return o.folder
}

// unpack finds the bundle in this program.
func unpack() (*ownBundle, error) {
	exe, err := executable()
	if err != nil {
		return nil, nil //nolint:nilerr // nothing says that there is a bundle
	}
	a, err := packed.Open(exe)
	if a == nil || err != nil {
		return nil, err
	}
	f, err := a.Open(packedName)
	if err != nil {
		return nil, packed.ErrDamaged
	}
	defer f.Close()
	var name bytes.Buffer
	if _, err := io.CopyN(&name, f, 4096); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &ownBundle{a, name.String()}, nil
}

// arguments turns the program's arguments into forgo's, with the packed bundle.
func (o *ownBundle) arguments(args []string) []string {
	if o == nil {
		return args
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") && !slices.Contains([]string{"-h", "--help", "--version"}, args[0]) {
		return append([]string{"serve", o.folder}, args...)
	}
	switch args[0] {
	case "serve", "predict", "evaluate", "verify", "inspect", "bench", "pack":
		return append([]string{args[0], o.folder}, args[1:]...)
	}
	return args
}

// openBundle opens a bundle in a folder or in this program.
func openBundle(ctx context.Context, path string) (*bundle.Bundle, error) {
	if path == own.name() {
		return bundle.OpenFS(ctx, own.archive, own.folder)
	}
	return bundle.OpenContext(ctx, path)
}
