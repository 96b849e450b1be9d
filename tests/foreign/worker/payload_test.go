package main

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// fields returns a good payload with some fields changed; a nil removes one.
func fields(changes map[string]any) []byte {
	payload := map[string]any{
		"dataset_uuid":      "0F8FAD5B-D9CB-469F-A165-70867728950E",
		"dataset_key":       "chain_blocks",
		"chain_id":          1,
		"cryo_dataset_name": "blocks",
		"rpc_pool":          "local",
		"range_start":       500,
		"range_end":         2700,
		"config_hash":       "h1",
	}
	maps.Copy(payload, changes)
	maps.DeleteFunc(payload, func(_ string, value any) bool { return value == nil })
	content, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	return content
}

func TestParsePayload(t *testing.T) {
	task, err := ParsePayload(fields(map[string]any{"priority": []int{1}}))
	want := Task{
		DatasetUUID: "0f8fad5b-d9cb-469f-a165-70867728950e", DatasetKey: "chain_blocks", ChainID: 1,
		Dataset: "blocks", RPCPool: "local", RangeStart: 500, RangeEnd: 2700, ConfigHash: "h1",
	}
	if err != nil || task != want {
		t.Fatalf("got %+v, %v", task, err)
	}
}

func TestParsePayloadNamesEachBadField(t *testing.T) {
	cases := map[string]any{
		"dataset_uuid":      "0f8fad5bd9cb469fa16570867728950e",
		"dataset_key":       "Not A Key",
		"chain_id":          true,
		"cryo_dataset_name": "../blocks",
		"rpc_pool":          "https://node.example/v3",
		"range_start":       json.RawMessage("1.0"),
		"range_end":         int64(largestBlock) + 1,
		"config_hash":       "",
	}
	all := maps.Clone(cases)
	for name, bad := range cases {
		for _, value := range []any{bad, nil, []int{}} {
			if _, err := ParsePayload(fields(map[string]any{name: value})); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s = %v: %v", name, value, err)
			}
		}
	}
	_, err := ParsePayload(fields(all))
	for name := range all {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("all bad at once: %s is not named: %v", name, err)
		}
	}
	if OutcomeOf(err) != FatalError {
		t.Errorf("a bad payload is %s", OutcomeOf(err))
	}
}

func TestParsePayloadRefuses(t *testing.T) {
	for _, text := range []string{
		"", "{", "null", "[]", `"text"`, "{} {}",
		string(fields(map[string]any{"range_end": 500})),
		string(fields(map[string]any{"chain_id": 0})),
		string(fields(map[string]any{"chain_id": "1"})),
		string(fields(map[string]any{"range_start": -1})),
		string(fields(map[string]any{"range_start": json.RawMessage("1e1")})),
		strings.Replace(string(fields(nil)), "dataset_uuid", "DATASET_UUID", 1),
	} {
		if task, err := ParsePayload([]byte(text)); OutcomeOf(err) != FatalError {
			t.Errorf("%s: %+v, %v", text, task, err)
		}
	}
}
