package main

import "testing"

var task = Task{
	DatasetUUID: "0f8fad5b-d9cb-469f-a165-70867728950e", DatasetKey: "k", ChainID: 31337,
	Dataset: "blocks", RPCPool: "local", RangeStart: 500, RangeEnd: 1700, ConfigHash: "ü:1",
}

// The UUIDs come from Python's uuid.uuid5.
func TestUUID5(t *testing.T) {
	if got := uuid5(namespace, "cryo_ingest:x"); got != "00d785da-8984-5ead-95d7-84e1ee1f6ec4" {
		t.Error(got)
	}
	if got := task.Version(); got != "51f87ce7-4a3b-559e-bcd1-a745dd2a2ba8" {
		t.Error(got)
	}
}

func TestPrefixIsNotPadded(t *testing.T) {
	want := "cryo/31337/0f8fad5b-d9cb-469f-a165-70867728950e/500_1700/51f87ce7-4a3b-559e-bcd1-a745dd2a2ba8/"
	if got := task.Prefix(); got != want {
		t.Error(got)
	}
}

func TestManifestIsSorted(t *testing.T) {
	got, err := ManifestOf(task, []string{"b", "a"})
	want := `{"version":1,"dataset_uuid":"0f8fad5b-d9cb-469f-a165-70867728950e",` +
		`"dataset_version":"51f87ce7-4a3b-559e-bcd1-a745dd2a2ba8","parquet_keys":["a","b"]}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
