// Package bundle reads forgo bundles: folders with a manifest, a graph and golden cases.
//
// [Open] checks everything that does not need a run of the graph: the format, the schema, every digest,
// and the rules between the manifest's parts. An opened bundle is, byte for byte, the one that was written.
// [github.com/forgo-ml/forgo/predict.Load] then proves that this process answers as it should.
package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/forgo-ml/forgo/internal/regular"
	"github.com/forgo-ml/forgo/spec"
)

// ManifestFile is the name of the manifest in a bundle's folder.
const ManifestFile = "forgo.json"

const (
	digestFile = "forgo.sha256"
	// maxManifest bounds forgo.json, which is read whole before any check.
	maxManifest = 8 << 20
	// maxGolden bounds the files of all golden cases together, which stay in memory during the replay.
	maxGolden = 1 << 30
	// maxWhole bounds any other file that is read whole: a graph, since protobuf messages are no longer,
	// or a golden case. The files of SavedModels are copied instead.
	maxWhole = 2 << 30
)

// forPeople are files that no code reads. They may be missing, but not changed.
var forPeople = map[string]bool{"report.html": true, "card.md": true}

// ErrNotBundle is wrapped by the error of [Open] for a path without a manifest.
var ErrNotBundle = errors.New("not a bundle")

// Error says which file of a bundle was refused, and why.
type Error struct {
	Bundle string // the bundle's folder
	File   string // the file in it, slash-separated; "" for the folder
	Err    error
}

func (e *Error) Error() string {
	if e.File == "" {
		return fmt.Sprintf("bundle %s: %v", e.Bundle, e.Err)
	}
	return fmt.Sprintf("bundle %s: %s: %v", e.Bundle, e.File, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Bundle is an open bundle. It is safe for concurrent use. Close it when done.
type Bundle struct {
	Manifest Manifest
	// Path is the folder, as given to Open.
	Path string
	// Digest is the bundle's identity: the SHA-256 of forgo.json, in hex.
	Digest string

	files files
}

// Open is [OpenContext] without a deadline.
func Open(dir string) (*Bundle, error) { return OpenContext(context.Background(), dir) }

// OpenContext opens the bundle in a folder and verifies the digest of every file. It reads nothing outside
// the folder, whatever the manifest or a link says, and only regular files: it refuses a pipe instead of
// waiting for it. The error is an [*Error], and wraps ctx.Err() if ctx ends first.
func OpenContext(ctx context.Context, dir string) (*Bundle, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, &Error{Bundle: dir, Err: cause(err)}
	}
	if !info.IsDir() {
		return nil, &Error{Bundle: dir, Err: fmt.Errorf("%w: a bundle is a folder", ErrNotBundle)}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, &Error{Bundle: dir, Err: cause(err)}
	}
	return open(ctx, dir, folder{root})
}

// OpenFS is like OpenContext for a folder in any file system, such as one that go:embed fills. name must
// satisfy [fs.ValidPath]. The file system decides where links lead. OpenFS refuses files that are not
// regular before it opens them.
func OpenFS(ctx context.Context, fsys fs.FS, name string) (*Bundle, error) {
	if !fs.ValidPath(name) {
		return nil, &Error{Bundle: name, Err: fs.ErrInvalid}
	}
	return open(ctx, name, below{fsys, name})
}

// open opens the bundle in root, and closes root if that fails.
func open(ctx context.Context, dir string, root files) (_ *Bundle, err error) {
	fail := func(file, format string, args ...any) error {
		return &Error{Bundle: dir, File: file, Err: fmt.Errorf(format, args...)}
	}
	defer func() {
		if err != nil {
			_ = root.Close()
		}
	}()

	raw, err := readLimited(root, ManifestFile, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail("", "%w: it has no %s", ErrNotBundle, ManifestFile)
	} else if err != nil {
		return nil, fail(ManifestFile, "%w", err)
	}
	sum, err := readLimited(root, digestFile, 4096)
	if err != nil {
		return nil, fail(digestFile, "%w", err)
	}
	digest := hexDigest(raw)
	if want := digest + "  " + ManifestFile + "\n"; string(sum) != want {
		if len(sum) == len(want) && strings.HasSuffix(string(sum), want[64:]) {
			return nil, fail(ManifestFile, "its digest is not the one in %s: one of the two was changed", digestFile)
		}
		return nil, fail(digestFile, "it must be one line, as sha256sum writes it for %s", ManifestFile)
	}

	manifest, err := parse(raw)
	if err != nil {
		return nil, fail(ManifestFile, "%w", err)
	}
	if size := manifest.goldenSize(); size > maxGolden {
		return nil, fail("", "its golden cases have %d bytes (limit %d)", size, maxGolden)
	}
	for name, want := range manifest.Files {
		err := checkFile(ctx, root, name, want, io.Discard)
		if forPeople[name] && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fail(name, "%w", err)
		}
	}
	if err := manifest.check(); err != nil {
		return nil, fail(ManifestFile, "%w", err)
	}
	return &Bundle{Manifest: manifest, Path: dir, Digest: digest, files: root}, nil
}

// Close releases the folder. The bundle's files cannot be read afterwards.
func (b *Bundle) Close() error { return b.files.Close() }

// ReadFile returns a file that the manifest lists. It checks the digest of the bytes that it returns, so
// they are the right ones even if the file has changed since Open.
func (b *Bundle) ReadFile(name string) ([]byte, error) {
	want, ok := b.Manifest.Files[name]
	if !ok {
		return nil, &Error{b.Path, name, errors.New("the manifest does not list it")}
	}
	if want.Size > maxWhole {
		return nil, &Error{b.Path, name, fmt.Errorf("it has %d bytes, more than the limit of %d for a file outside a SavedModel", want.Size, maxWhole)}
	}
	data, err := readLimited(b.files, name, want.Size)
	if err == nil && (int64(len(data)) != want.Size || hexDigest(data) != want.SHA256) {
		err = errors.New("it changed after the bundle was opened")
	}
	if err != nil {
		return nil, &Error{b.Path, name, err}
	}
	return data, nil
}

// Each calls visit for every file of the bundle, starting with the manifest and its digest, with bytes
// whose digests it has checked. Files that only people read may be missing.
func (b *Bundle) Each(visit func(name string, data []byte) error) error {
	raw, err := readLimited(b.files, ManifestFile, maxManifest)
	if err == nil && hexDigest(raw) != b.Digest {
		err = errors.New("it changed after the bundle was opened")
	}
	if err != nil {
		return &Error{b.Path, ManifestFile, err}
	}
	if err := visit(ManifestFile, raw); err != nil {
		return err
	}
	if err := visit(digestFile, []byte(b.Digest+"  "+ManifestFile+"\n")); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(b.Manifest.Files)) {
		data, err := b.ReadFile(name)
		if forPeople[name] && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := visit(name, data); err != nil {
			return err
		}
	}
	return nil
}

// CopyFolder copies the files that the manifest lists below the folder name to the existing folder to. It
// checks the digests of the bytes that it writes, and stops when ctx ends.
func (b *Bundle) CopyFolder(ctx context.Context, name, to string) error {
	for file, want := range b.Manifest.Files {
		rest, inside := strings.CutPrefix(file, name+"/")
		if !inside {
			continue
		}
		target := filepath.Join(to, filepath.FromSlash(rest))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		copied, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		err = checkFile(ctx, b.files, file, want, copied)
		if closed := copied.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return &Error{b.Path, file, err}
		}
	}
	return nil
}

var compileSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(spec.ManifestSchema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("manifest.schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("manifest.schema.json")
})

func parse(raw []byte) (Manifest, error) {
	var m Manifest
	var version struct {
		Format json.RawMessage `json:"format"`
	}
	if err := json.Unmarshal(raw, &version); err != nil {
		return m, fmt.Errorf("it is not JSON: %w", err)
	}
	if f := string(version.Format); f != fmt.Sprint(spec.Format) {
		return m, fmt.Errorf("it has format %s, this forgo reads format %d: upgrade forgo, or export the model again", orNone(f), spec.Format)
	}
	schema, err := compileSchema()
	if err != nil {
		return m, fmt.Errorf("compile manifest schema: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return m, fmt.Errorf("it is not JSON: %w", err)
	}
	if err := schema.Validate(doc); err != nil {
		return m, schemaError(err)
	}
	// Read what was checked: for a repeated key, encoding/json would merge the values in raw.
	checked, err := json.Marshal(doc)
	if err == nil {
		err = json.Unmarshal(checked, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read manifest: %w", err)
	}
	return m, nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// schemaError turns the library's tree of causes into one line: the deepest cause and its place.
func schemaError(err error) error {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return err
	}
	for len(v.Causes) > 0 {
		v = v.Causes[0]
	}
	pointer := "/" + strings.Join(v.InstanceLocation, "/")
	_, message, _ := strings.Cut(strings.ReplaceAll(v.Error(), "\n", " "), "': ")
	if i := strings.LastIndex(message, "': "); i >= 0 {
		message = message[i+3:]
	}
	return fmt.Errorf("it breaks the format at %s: %s", pointer, message)
}

// goldenSize returns the total size of the golden cases' files, by the manifest.
func (m *Manifest) goldenSize() (total int64) {
	for _, c := range m.AllCases() {
		for _, name := range []string{c.Input, c.Pixels, c.Tensors} {
			total += min(m.Files[name].Size, maxGolden+1)
		}
	}
	return total
}

// checkFile checks a file's size and digest while it copies the file.
func checkFile(ctx context.Context, root files, name string, want File, to io.Writer) error {
	f, err := root.open(name)
	if err != nil {
		return cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return cause(err)
	}
	if info.Size() != want.Size {
		return fmt.Errorf("it has %d bytes, the manifest says %d", info.Size(), want.Size)
	}
	h := sha256.New()
	both, within := io.MultiWriter(h, to), io.LimitReader(f, want.Size+1) // whatever the file says of itself
	for {                                                                 // in pieces: whoever stops the process does not wait for the rest of a large file
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := io.CopyN(both, within, 4<<20)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return cause(err)
		}
	}
	if hex.EncodeToString(h.Sum(nil)) != want.SHA256 {
		return errors.New("its content changed: its digest differs from the manifest's")
	}
	return nil
}

func readLimited(root files, name string, limit int64) ([]byte, error) {
	f, err := root.open(name)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	data, err := regular.All(f, limit)
	if err != nil {
		return nil, cause(err)
	}
	return data, nil
}

func hexDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// cause strips the operation and path from a file error, since the caller names the file.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
