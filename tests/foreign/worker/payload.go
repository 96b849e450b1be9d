package main

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// largestBlock is the largest block number that Cryo's columns hold (PAY-5).
const largestBlock = 1<<32 - 1

var (
	namePattern = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	intPattern  = regexp.MustCompile(`^-?[0-9]+$`)
)

// Task is a payload that keeps PAY-1 and PAY-5. DatasetUUID is in lower case.
type Task struct {
	DatasetUUID string
	DatasetKey  string
	ChainID     uint64
	Dataset     string
	RPCPool     string
	RangeStart  uint64
	RangeEnd    uint64
	ConfigHash  string
}

// ParsePayload reads a payload. Fields it does not know are ignored (PAY-3); the error is fatal and
// names every field that is missing or bad (PAY-2).
func ParsePayload(payload []byte) (Task, error) {
	// A map, since decoding into a struct would also take DATASET_UUID for dataset_uuid.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil || fields == nil {
		return Task{}, Fatalf("the payload is not a JSON object")
	}
	p := parser{fields: fields}
	task := Task{
		DatasetUUID: strings.ToLower(p.match("dataset_uuid", uuidPattern, "a UUID of the form 8-4-4-4-12")),
		DatasetKey:  p.match("dataset_key", namePattern, "of the form ^[a-z0-9_]{1,64}$"),
		ChainID:     p.integer("chain_id", 1, 1<<64-1),
		Dataset:     p.match("cryo_dataset_name", namePattern, "of the form ^[a-z0-9_]{1,64}$"),
		RPCPool:     p.text("rpc_pool"),
		RangeStart:  p.integer("range_start", 0, largestBlock),
		RangeEnd:    p.integer("range_end", 1, largestBlock),
		ConfigHash:  p.text("config_hash"),
	}
	if strings.Contains(task.RPCPool, "://") {
		p.refuse("rpc_pool", "is a URL; it must be a pool's name")
	}
	if len(p.problems) == 0 && task.RangeEnd <= task.RangeStart {
		p.refuse("range_end", "is not greater than range_start")
	}
	if len(p.problems) > 0 {
		return Task{}, Fatalf("the payload can't be used: %s", strings.Join(p.problems, "; "))
	}
	return task, nil
}

// parser reads fields and keeps what is wrong with them.
type parser struct {
	fields   map[string]json.RawMessage
	problems []string
}

func (p *parser) refuse(name, what string) {
	p.problems = append(p.problems, name+" "+what)
}

func (p *parser) text(name string) string {
	raw, found := p.fields[name]
	var value *string
	switch err := json.Unmarshal(raw, &value); {
	case !found:
		p.refuse(name, "is missing")
	case err != nil || value == nil || *value == "":
		p.refuse(name, "is not a non-empty string")
	default:
		return *value
	}
	return ""
}

func (p *parser) match(name string, pattern *regexp.Regexp, form string) string {
	before := len(p.problems)
	value := p.text(name)
	if len(p.problems) == before && !pattern.MatchString(value) {
		p.refuse(name, "is not "+form)
	}
	return value
}

// integer reads a JSON integer: 1.0, 1e3, true and "1" are none.
func (p *parser) integer(name string, least, most uint64) uint64 {
	raw, found := p.fields[name]
	switch {
	case !found:
		p.refuse(name, "is missing")
		return 0
	case !intPattern.Match(raw):
		p.refuse(name, "is not an integer")
		return 0
	}
	value, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil || value < least || value > most {
		p.refuse(name, "is not from "+strconv.FormatUint(least, 10)+" to "+strconv.FormatUint(most, 10))
	}
	return value
}
