package predict

import (
	"errors"
	"os"
)

// lockFolder fails: no engine on Windows needs a private folder.
func lockFolder(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func ownedByUser(os.FileInfo) bool { return false }
