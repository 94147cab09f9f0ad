package access

// API keys: their file, and the search for one.

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// prefix marks keys, for people and for scanners that search for secrets.
const prefix = "forgo_"

// Keys holds the keys of a file, one on each line:
//
//	NAME RIGHT[,RIGHT] sha256:HEX
//
// Empty lines, and text after a #, are ignored. HEX is the digest of the key. A plain SHA-256 would be too
// fast for passwords, but a key of [NewKey] has 130 random bits, which nobody can guess however fast the
// digest is. A slow digest would cost time at every request.
//
// Keys is safe for concurrent use.
type Keys struct {
	files[[]key]
}

type key struct {
	name   string
	rights []Right
	digest [sha256.Size]byte
}

// OpenKeys reads a file of keys.
func OpenKeys(path string) (*Keys, error) {
	if strings.HasPrefix(path, prefix) {
		// The error does not show the key.
		return nil, errors.New("read keys: got a key, need the path of a file of keys")
	}
	k := &Keys{files[[]key]{paths: []string{path}, parse: func(contents [][]byte) (*[]key, error) {
		return parseKeys(path, string(contents[0]))
	}}}
	if _, err := k.Reload(); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	return k, nil
}

// NewKey makes a random key. line is the line for a file of keys.
func NewKey(name string, rights []Right) (key, line string, err error) {
	if name == "" || strings.HasPrefix(name, prefix) || strings.ContainsFunc(name, notInName) {
		return "", "", fmt.Errorf("%q cannot name a key: a name is one word without #, and does not begin with %s", name, prefix)
	}
	if len(rights) == 0 {
		return "", "", errors.New("a key needs at least one right")
	}
	key = prefix + rand.Text()
	names := make([]string, len(rights))
	for i, r := range rights {
		names[i] = string(r)
	}
	digest := sha256.Sum256([]byte(key))
	return key, fmt.Sprintf("%s %s sha256:%x", name, strings.Join(names, ","), digest), nil
}

func notInName(r rune) bool { return r == '#' || unicode.IsSpace(r) || !unicode.IsPrint(r) }

// parseKeys parses a file of keys. Its errors never quote the text, which may contain a key by mistake.
func parseKeys(path, text string) (*[]key, error) {
	keys := []key{}
	names, digests := map[string]bool{}, map[[sha256.Size]byte]string{}
	line := 0
	for content := range strings.Lines(text) {
		line++
		content, _, _ = strings.Cut(content, "#")
		fields := strings.Fields(content)
		if len(fields) == 0 {
			continue
		}
		k, err := parseKey(fields)
		switch other := digests[k.digest]; {
		case err != nil:
		case names[k.name]:
			err = fmt.Errorf("two keys have the name %s", k.name)
		case other != "":
			err = fmt.Errorf("%s and %s are the same key", other, k.name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, line, err)
		}
		names[k.name], digests[k.digest] = true, k.name
		keys = append(keys, k)
	}
	return &keys, nil
}

func parseKey(fields []string) (key, error) {
	if len(fields) != 3 {
		return key{}, errors.New("a line needs NAME RIGHTS sha256:HEX; forgo key makes one")
	}
	k := key{name: fields[0]}
	if strings.HasPrefix(k.name, prefix) {
		return key{}, errors.New("the first word is a key: give the key's name")
	}
	var err error
	if k.rights, err = ParseRights(fields[1]); err != nil {
		return key{}, err
	}
	text, ok := strings.CutPrefix(fields[2], "sha256:")
	digest, err := hex.DecodeString(text)
	if !ok || err != nil || len(digest) != sha256.Size {
		return key{}, errors.New("the third word must be sha256: and 64 hexadecimal digits, the key's digest")
	}
	copy(k.digest[:], digest)
	return k, nil
}

// find returns the key that was presented. It compares every key in constant time, so that its duration
// does not reveal how close a guess is.
func (k *Keys) find(presented string) (found key, ok bool) {
	digest := sha256.Sum256([]byte(presented))
	for _, candidate := range *k.now.Load() {
		if subtle.ConstantTimeCompare(candidate.digest[:], digest[:]) == 1 {
			found, ok = candidate, true
		}
	}
	return found, ok
}

func (k *Keys) describe() (string, []any) {
	names := []string{}
	for _, key := range *k.now.Load() {
		names = append(names, key.name)
	}
	return "keys", []any{"file", k.paths[0], "names", names}
}

func (k *Keys) warnings() []string {
	out := []string{exposed(k.paths[0])}
	if len(*k.now.Load()) == 0 {
		out = append(out, k.paths[0]+" has no keys: every call that needs one is refused")
	}
	return out
}
