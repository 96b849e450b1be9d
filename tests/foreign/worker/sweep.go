package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Sweep deletes the attempts' directories that are older than a time, by their own modification time
// (STG-4), and returns their paths. One that a live attempt holds is left alone, and so is whatever else
// lies below the root.
func Sweep(root string, before time.Time) (swept []string, err error) {
	tasks, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, task := range tasks {
		if !task.IsDir() || !uuidPattern.MatchString(task.Name()) {
			continue
		}
		attempts, readErr := os.ReadDir(filepath.Join(root, task.Name()))
		err = errors.Join(err, readErr)
		for _, attempt := range attempts {
			path := filepath.Join(root, task.Name(), attempt.Name())
			if !isOldAttempt(attempt, before) {
				continue
			}
			if lock, lockErr := lockDirectory(path); lockErr == nil {
				err = errors.Join(err, (&Staging{path, lock}).Remove())
				swept = append(swept, path)
			}
		}
	}
	return swept, err
}

func isOldAttempt(entry fs.DirEntry, before time.Time) bool {
	if _, err := strconv.ParseUint(entry.Name(), 10, 63); err != nil || !entry.IsDir() {
		return false
	}
	info, err := entry.Info()
	return err == nil && info.ModTime().Before(before)
}
