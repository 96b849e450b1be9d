package main

import (
	"strings"
	"testing"
	"time"
)

// environment returns the least that a worker needs, with some variables changed.
func environment(changes map[string]string) func(string) string {
	least := map[string]string{
		"DISPATCHER_URL": "http://d/", "TRACE_WORKER_TOKEN": "t", "TASK_WAKEUP_QUEUE": "q", "S3_BUCKET": "b",
		"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
	}
	return func(name string) string {
		if value, found := changes[name]; found {
			return value
		}
		return least[name]
	}
}

func TestDefaults(t *testing.T) {
	got, err := ReadSettings(environment(nil))
	if err != nil || got.Mode != ModeFake || got.StagingTTL != 24*time.Hour || got.StagingRoot != "/tmp/trace/cryo" {
		t.Errorf("%+v, %v", got, err)
	}
	if got.Caps != (Caps{256, 512 << 20, 2 << 30}) {
		t.Error(got.Caps)
	}
}

func TestEveryBadVariableIsNamed(t *testing.T) {
	bad := map[string]string{
		"TRACE_CRYO_MODE": "maybe", "MAX_PARQUET_FILES_PER_RANGE": "0", "MAX_PARQUET_BYTES_PER_FILE": "many",
		"MAX_TOTAL_PARQUET_BYTES_PER_RANGE": "-1", "TRACE_CRYO_STAGING_TTL_HOURS": "NaN", "DISPATCHER_URL": "",
		"TRACE_CRYO_STAGING_ROOT": "here",
	}
	_, err := ReadSettings(environment(bad))
	for name := range bad {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}

func TestRPCURL(t *testing.T) {
	own, common := "TRACE_RPC_POOL_MY_POOL_2_URL", "TRACE_CRYO_RPC_URL"
	for want, variables := range map[string]map[string]string{
		"http://own":    {own: "http://own http://second", common: "http://common"},
		"http://common": {common: "http://common"},
	} {
		settings, _ := ReadSettings(environment(variables))
		if got, err := settings.RPCURL("my-pool.2"); got != want || err != nil {
			t.Error(got, err)
		}
	}
	settings, _ := ReadSettings(environment(nil))
	_, err := settings.RPCURL("my-pool.2")
	if OutcomeOf(err) != FatalError || !strings.Contains(err.Error(), own) || !strings.Contains(err.Error(), common) {
		t.Error(err)
	}
}
