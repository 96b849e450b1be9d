package main

import (
	"os"
	"path/filepath"
	"testing"
)

// wrote makes a directory with files of one byte each.
func wrote(t *testing.T, names ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range names {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), private); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

const (
	first  = "network_31337__blocks__00000500_to_00001499.parquet"
	second = "network_31337__blocks__00001500_to_00001699.parquet"
)

func TestFindFiles(t *testing.T) {
	files, err := FindFiles(wrote(t, second, first, ".cryo/reports/r.json", second+"_tmp"), task)
	if err != nil || len(files) != 2 || filepath.Base(files[0].Path) != first || files[1].Bytes != 1 {
		t.Errorf("%+v, %v", files, err)
	}
}

func TestFindFilesRefusesWhatDoesNotCoverTheRange(t *testing.T) {
	cases := map[string][]string{
		"a gap":           {second},
		"a missing end":   {first},
		"an excess":       {first, second, "network_31337__blocks__00001700_to_00001700.parquet"},
		"an overlap":      {first, "network_31337__blocks__00001400_to_00001699.parquet"},
		"another dataset": {first, "network_31337__logs__00001500_to_00001699.parquet"},
		"an odd name":     {first, second, "part-0.parquet"},
		"a wrong way":     {"network_31337__blocks__00000500_to_00000499.parquet", first, second},
	}
	for what, names := range cases {
		if _, err := FindFiles(wrote(t, names...), task); OutcomeOf(err) != RetryableError {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := FindFiles(wrote(t, ".cryo/r.json"), task); OutcomeOf(err) != FatalError {
		t.Errorf("no file at all: %v", err)
	}
}

func TestCapsAllowWhatIsExactlyAtThem(t *testing.T) {
	files := []File{{Bytes: 10}, {Bytes: 20}}
	at := Caps{Files: 2, FileBytes: 20, TotalBytes: 30}
	if err := at.Check(files); err != nil {
		t.Error(err)
	}
	for _, caps := range []Caps{{1, 20, 30}, {2, 19, 30}, {2, 20, 29}} {
		if err := caps.Check(files); OutcomeOf(err) != FatalError {
			t.Errorf("%+v: %v", caps, err)
		}
	}
}
