package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// private is the mode of every directory that is made below the staging root (STG-2).
const private fs.FileMode = 0o700

// Staging is one attempt's own directory, held by a lock for as long as it is open.
type Staging struct {
	Path string
	Lock *os.File
}

// OpenStaging makes and locks <root>/<task id>/<attempt>, and empties what is there already (STG-1).
func OpenStaging(root, taskID string, attempt int) (*Staging, error) {
	if err := os.MkdirAll(root, private); err != nil {
		return nil, fmt.Errorf("making the staging root: %w", err)
	}
	task := filepath.Join(root, taskID)
	path := filepath.Join(task, strconv.Itoa(attempt))
	for _, directory := range []string{task, path} {
		if err := makePrivate(directory); err != nil {
			return nil, err
		}
	}
	lock, err := lockDirectory(path)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	staging := &Staging{Path: path, Lock: lock}
	if err := staging.empty(); err != nil {
		return nil, errors.Join(fmt.Errorf("emptying %s: %w", path, err), lock.Close())
	}
	return staging, nil
}

// Remove deletes the directory, its task's too if that is empty then, and gives up the lock.
func (s *Staging) Remove() error {
	err := os.RemoveAll(s.Path)
	_ = os.Remove(filepath.Dir(s.Path)) // fails while another attempt of the task is there
	return errors.Join(err, s.Lock.Close())
}

func (s *Staging) empty() error {
	entries, err := os.ReadDir(s.Path)
	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(s.Path, entry.Name())))
	}
	return err
}

// makePrivate makes a directory, or takes one that is there. What is no directory, a link to one
// included, is refused: what lies behind it is not ours to empty.
func makePrivate(path string) error {
	if err := os.Mkdir(path, private); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return Fatalf("the staging path %s is no directory: remove it", path)
	}
	return os.Chmod(path, private) // whatever the umask, and whoever made it
}

// lockDirectory opens a directory and takes its lock without waiting.
func lockDirectory(path string) (*os.File, error) {
	directory, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(directory.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, directory.Close())
	}
	return directory, nil
}
