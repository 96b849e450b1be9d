package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// fileName is Cryo's <network>__<dataset>__<first block>_to_<last block>.parquet.
var fileName = regexp.MustCompile(`^[a-z0-9_]+?__([a-z0-9_]+)__([0-9]{8,})_to_([0-9]{8,})\.parquet$`)

// File is one Parquet file that Cryo wrote; First and Last are the blocks that its name gives.
type File struct {
	Path        string
	Bytes       int64
	First, Last uint64
}

// FindFiles returns the Parquet files of a directory, in the order of their blocks. They have to cover the
// task's range, every block once, as far as their names can show (RNG-2).
//
// Cryo's reports are below .cryo, and what it did not finish ends in _tmp: neither is a file of the range.
func FindFiles(directory string, task Task) ([]File, error) {
	paths, err := filepath.Glob(filepath.Join(directory, "*.parquet"))
	if err != nil {
		return nil, err
	}
	var files []File
	for _, path := range paths {
		file, err := describe(path, task.Dataset)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, Fatalf("Cryo ended with exit code 0 and wrote no Parquet file")
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.First, b.First) })
	return files, covers(files, task)
}

func describe(path, dataset string) (File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return File{}, err
	}
	parts := fileName.FindStringSubmatch(filepath.Base(path))
	if parts == nil || parts[1] != dataset || !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is no file of the dataset %s by its name", filepath.Base(path), dataset)
	}
	first, firstErr := strconv.ParseUint(parts[2], 10, 64)
	last, lastErr := strconv.ParseUint(parts[3], 10, 64)
	return File{path, info.Size(), first, last}, cmp.Or(firstErr, lastErr)
}

// covers tells whether sorted files cover the range without a gap, an overlap or an excess.
func covers(files []File, task Task) error {
	next := task.RangeStart
	for _, file := range files {
		if file.First != next || file.Last < file.First {
			return fmt.Errorf("%s does not go on at block %d: the range is not covered", filepath.Base(file.Path), next)
		}
		next = file.Last + 1
	}
	if next != task.RangeEnd {
		return fmt.Errorf("the files end before block %d, the range before block %d", next, task.RangeEnd)
	}
	return nil
}

// Caps bound one range (CAP-1).
type Caps struct {
	Files, FileBytes, TotalBytes int64
}

// Check compares files with the caps: exactly at one is allowed, over it is fatal (CAP-4).
func (c Caps) Check(files []File) error {
	if count := int64(len(files)); count > c.Files {
		return Fatalf("%d files are over MAX_PARQUET_FILES_PER_RANGE=%d", count, c.Files)
	}
	var total int64
	for _, file := range files {
		if file.Bytes > c.FileBytes {
			return Fatalf("%s has %d bytes, over MAX_PARQUET_BYTES_PER_FILE=%d",
				filepath.Base(file.Path), file.Bytes, c.FileBytes)
		}
		total += file.Bytes
	}
	if total > c.TotalBytes {
		return Fatalf("%d bytes are over MAX_TOTAL_PARQUET_BYTES_PER_RANGE=%d", total, c.TotalBytes)
	}
	return nil
}
