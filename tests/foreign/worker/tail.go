package main

import (
	"bytes"
	"strings"
)

// keptBytes is how much of Cryo's output is worth reading after it has failed.
const keptBytes = 2048

// Tail keeps the end of what is written to it, however much that is.
type Tail struct {
	kept []byte
	cut  bool
}

// Write keeps the last bytes.
func (t *Tail) Write(block []byte) (int, error) {
	t.kept = append(t.kept, block...)
	if extra := len(t.kept) - keptBytes; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
		t.cut = true
	}
	return len(block), nil
}

// String returns the lines that were kept whole: half a line could hold half a secret, which nobody
// would recognize.
func (t *Tail) String() string {
	kept := t.kept
	if t.cut {
		_, kept, _ = bytes.Cut(kept, []byte("\n"))
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(kept), "?"))
}
