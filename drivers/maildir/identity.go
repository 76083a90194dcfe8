package maildir

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"driftless/drivers"
)

// markerFile, in the root, tells one store from another at the same place (an empty mount point, a restored copy of something else).
const markerFile = ".driftless-store"

const markerHead = "driftless-store 1 "

// Identity returns the id in the store's marker file, "" if it has none yet. It writes nothing.
func (s *Store) Identity(ctx context.Context) (string, error) {
	if err := s.usable(ctx); err != nil {
		return "", err
	}
	id, err := s.readMarker()
	return id, classify("read identity", s.root, drivers.ReachStore, err)
}

func (s *Store) readMarker() (string, error) {
	data, err := os.ReadFile(s.root + "/" + markerFile)
	if errors.Is(err, fs.ErrNotExist) {
		// A missing root is not a store without identity.
		if _, rootErr := os.Stat(s.root); rootErr != nil {
			return "", rootErr
		}
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id, ok := strings.CutPrefix(strings.TrimSuffix(string(data), "\n"), markerHead)
	if raw, err := hex.DecodeString(id); !ok || err != nil || len(raw) != 16 {
		return "", fmt.Errorf("damaged file %s", markerFile)
	}
	return id, nil
}

// EnsureIdentity returns the store's identity and makes one, durably, if there is none. It tells the store that this run may write.
func (s *Store) EnsureIdentity(ctx context.Context) (string, error) {
	if err := s.usable(ctx); err != nil {
		return "", err
	}
	s.mayWrite.Store(true)
	id, err := s.readMarker()
	if err == nil && id == "" {
		id, err = s.writeMarker()
	}
	return id, classify("make identity", s.root, drivers.ReachStore, err)
}

func (s *Store) writeMarker() (string, error) {
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	id := hex.EncodeToString(raw[:])
	tmp := s.root + "/" + markerFile + "-" + id
	f, err := s.disk.create(tmp)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(markerHead + id + "\n")
	if err == nil {
		err = s.disk.syncFile(f)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		// Without overwriting: of two processes that do this at the same time, one wins and both return its id.
		err = s.disk.rename(tmp, s.root+"/"+markerFile)
	}
	if err != nil {
		err = errors.Join(err, ignoreMissing(os.Remove(tmp)))
		if errors.Is(err, fs.ErrExist) {
			return s.readMarker()
		}
		return "", err
	}
	return id, s.disk.syncDir(s.root)
}
