package main

import (
	"crypto/sha1" // UUIDv5 is made with it; nothing here relies on its strength
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// namespace is that of VER-2: 6e484f2c-567a-44f3-8a5e-c0650b2a169f.
var namespace = [16]byte{
	0x6e, 0x48, 0x4f, 0x2c, 0x56, 0x7a, 0x44, 0xf3, 0x8a, 0x5e, 0xc0, 0x65, 0x0b, 0x2a, 0x16, 0x9f,
}

// Version is the task's dataset version: the same on every attempt, machine and day (VER-1, VER-2).
func (t Task) Version() string {
	return uuid5(namespace, fmt.Sprintf("cryo_ingest:%s:%s:%d:%d:%d",
		t.DatasetUUID, t.ConfigHash, t.ChainID, t.RangeStart, t.RangeEnd))
}

// Prefix is where the task's objects go, relative to the bucket (LAY-1).
func (t Task) Prefix() string {
	return fmt.Sprintf("cryo/%d/%s/%d_%d/%s/", t.ChainID, t.DatasetUUID, t.RangeStart, t.RangeEnd, t.Version())
}

// uuid5 is RFC 9562's name-based UUID.
func uuid5(space [16]byte, name string) string {
	sum := sha1.Sum(append(space[:], name...))
	sum[6] = sum[6]&0x0f | 0x50 // version 5
	sum[8] = sum[8]&0x3f | 0x80 // variant of the RFC
	digits := hex.EncodeToString(sum[:16])
	return fmt.Sprintf("%s-%s-%s-%s-%s", digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
}

// Manifest lists a version's objects (LAY-3); its fields are exactly those of LAY-4.
type Manifest struct {
	Version        int      `json:"version"`
	DatasetUUID    string   `json:"dataset_uuid"`
	DatasetVersion string   `json:"dataset_version"`
	ParquetKeys    []string `json:"parquet_keys"`
}

// ManifestOf renders the manifest of a task whose objects have been uploaded.
func ManifestOf(task Task, keys []string) ([]byte, error) {
	sorted := slices.Sorted(slices.Values(keys))
	content, err := json.Marshal(Manifest{1, task.DatasetUUID, task.Version(), sorted})
	return append(content, '\n'), err
}

// Publication is what a success registers (PUB-1).
type Publication struct {
	DatasetUUID    string     `json:"dataset_uuid"`
	DatasetVersion string     `json:"dataset_version"`
	StorageRef     StorageRef `json:"storage_ref"`
	ConfigHash     string     `json:"config_hash"`
	RangeStart     uint64     `json:"range_start"`
	RangeEnd       uint64     `json:"range_end"`
}

// StorageRef says where a version lies (PUB-2).
type StorageRef struct {
	Scheme string `json:"scheme"`
	Bucket string `json:"bucket"`
	Prefix string `json:"prefix"`
	Glob   string `json:"glob"`
}

// PublicationOf says what is published for a task.
func PublicationOf(task Task, bucket string) Publication {
	return Publication{
		DatasetUUID:    task.DatasetUUID,
		DatasetVersion: task.Version(),
		StorageRef:     StorageRef{"s3", bucket, task.Prefix(), "*.parquet"},
		ConfigHash:     task.ConfigHash,
		RangeStart:     task.RangeStart,
		RangeEnd:       task.RangeEnd,
	}
}
