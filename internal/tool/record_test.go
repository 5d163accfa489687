package tool

import (
	"os"
	"strings"
	"testing"
)

// TestProgramThatCantBeRecordedIsEnded lets the record be a device that is always full.
func TestProgramThatCantBeRecordedIsEnded(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		return // no such device on this system
	}
	s := newStage(t)
	r := s.runner()
	if _, err := r.Run(t.Context(), s.sh("true")); err != nil {
		t.Fatal(err)
	}
	before := r.record.file
	r.record.file = full
	_, err = r.Run(t.Context(), s.invocation("stubborn"))
	if err == nil || !strings.Contains(err.Error(), "no space left on device: check that the disk has room") {
		t.Errorf("got %v", err)
	}
	s.gone()
	r.record.file = before
	if err := full.Close(); err != nil {
		t.Error(err)
	}
}

func TestParseRecord(t *testing.T) {
	const owner = `{"run":"1","owner":{"pid":7,"start":"b/1"},"since":"2026-11-23T14:25:01Z"}` + "\n"
	const a, b = `{"started":{"pid":8,"start":"b/2"},"name":"black"}` + "\n", `{"started":{"pid":9,"start":"b/3"},"name":"pytest"}` + "\n"
	const endA = `{"ended":{"pid":8,"start":"b/2"}}` + "\n"
	tests := []struct {
		name, record, run, programs string
	}{
		{"nothing", "", "", ""},
		{"owner", owner, "1", ""},
		{"running", owner + a + b, "1", "black pytest"},
		{"one ended", owner + a + b + endA, "1", "pytest"},
		{"the number of one that ended", owner + a + endA + strings.ReplaceAll(b, `"pid":9`, `"pid":8`), "1", "pytest"},
		{"torn", owner + a + b[:20], "1", "black"},
		{"garbage between", owner + "\x00\n" + a, "1", "black"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parseRecord([]byte(tt.record))
			var programs []string
			for _, name := range []string{"black", "pytest"} {
				for _, n := range got.programs {
					if n == name {
						programs = append(programs, n)
					}
				}
			}
			if got.run != tt.run || strings.Join(programs, " ") != tt.programs {
				t.Errorf("got %q, %v", got.run, got.programs)
			}
		})
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"run":"1","owner":{"pid":7,"start":"b/1"}}` + "\n" + `{"started":{"pid":8,"start":"b/2"},"name":"black"}` + "\n{"))
	f.Fuzz(func(_ *testing.T, b []byte) { parseRecord(b) })
}
