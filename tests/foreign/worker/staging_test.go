package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStagingIsPrivateEmptyAndHeld(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	left := filepath.Join(root, task.DatasetUUID, "1", "left", "over")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	staging, err := OpenStaging(root, task.DatasetUUID, 1)
	if err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(staging.Path); len(entries) != 0 {
		t.Error(entries)
	}
	for _, path := range []string{staging.Path, filepath.Dir(staging.Path)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != private {
			t.Error(path, info.Mode(), err)
		}
	}
	if _, err := OpenStaging(root, task.DatasetUUID, 1); OutcomeOf(err) != RetryableError {
		t.Errorf("held by a live attempt: %v", err)
	}
	if err := staging.Remove(); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(root); len(entries) != 0 {
		t.Error(entries)
	}
}

func TestStagingRefusesALink(t *testing.T) {
	root := t.TempDir()
	if err := os.Symlink(t.TempDir(), filepath.Join(root, task.DatasetUUID)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStaging(root, task.DatasetUUID, 1); OutcomeOf(err) != FatalError {
		t.Error(err)
	}
}

func TestSweepDeletesOldAttemptsAlone(t *testing.T) {
	root, now := t.TempDir(), time.Now()
	path := func(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }
	old, young, held := path(task.DatasetUUID, "1"), path(task.DatasetUUID, "2"), path(task.DatasetUUID, "3")
	other := path("published", "1")
	for _, directory := range []string{old, young, held, other} {
		if err := os.MkdirAll(directory, private); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(directory, now, now.Add(-25*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(young, now, now.Add(-23*time.Hour)); err != nil {
		t.Fatal(err)
	}
	lock, err := lockDirectory(held)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if swept, err := Sweep(root, now.Add(-24*time.Hour)); err != nil || len(swept) != 1 || swept[0] != old {
		t.Error(swept, err)
	}
	for _, directory := range []string{young, held, other} {
		if _, err := os.Stat(directory); err != nil {
			t.Error(err)
		}
	}
	if _, err := Sweep(path("missing"), now); err != nil {
		t.Errorf("no root yet: %v", err)
	}
}
