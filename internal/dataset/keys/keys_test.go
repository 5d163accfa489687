package keys_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset/keys"
)

// shapes of keys: as a hash gives them, and as it should not.
var shapes = map[string]func(r *rand.Rand, i int) uint64{
	"hashes":      func(r *rand.Rand, _ int) uint64 { return r.Uint64() },
	"few values":  func(r *rand.Rand, _ int) uint64 { return r.Uint64N(5) * 0x3333333333333333 },
	"all equal":   func(*rand.Rand, int) uint64 { return 42 },
	"in order":    func(_ *rand.Rand, i int) uint64 { return uint64(i) },
	"backwards":   func(_ *rand.Rand, i int) uint64 { return ^uint64(i) },
	"one repeats": func(r *rand.Rand, i int) uint64 { return max(r.Uint64(), 1) * uint64(min(1, i%5000)) },
	"pairs":       func(_ *rand.Rand, i int) uint64 { return uint64(i/2) * 0x9e3779b97f4a7c15 },
}

func TestSortsAndFindsRepeatedKeys(t *testing.T) {
	for name, shape := range shapes {
		for _, count := range []int{0, 1, 2, 4096, 4097, 100_000} {
			for _, memory := range []int64{0, 64 << 20} { // with 1 MiB, the least, most is spilled
				for _, workers := range []int{1, 3} {
					t.Run(fmt.Sprintf("%s/%d/%d/%d", name, count, memory, workers), func(t *testing.T) {
						t.Parallel()
						all := make([]keys.Record, count)
						random := rand.New(rand.NewPCG(1, 2))
						for i := range all {
							all[i] = keys.Record{Key: shape(random, i), Row: uint64(i)}
						}
						sorter := fill(t, t.TempDir(), memory, workers, all)
						repeats := fill(t, t.TempDir(), memory, workers, all)
						slices.SortFunc(all, func(a, b keys.Record) int {
							if a.Key != b.Key {
								return map[bool]int{true: -1, false: 1}[a.Key < b.Key]
							}
							return int(a.Row) - int(b.Row)
						})
						if got := collect(t, sorter.Sorted(t.Context())); !slices.Equal(got, all) {
							t.Errorf("sorted differs from the standard library's order: %d records of %d", len(got), len(all))
						}
						if int(sorter.Len()) != count {
							t.Errorf("got %d records, want %d", sorter.Len(), count)
						}
						if got, want := collect(t, repeats.Repeated(t.Context())), repeatedOnly(all); !slices.Equal(got, want) {
							t.Errorf("got %d repeated records, want %d", len(got), len(want))
						}
					})
				}
			}
		}
	}
}

func fill(t testing.TB, dir string, memory int64, workers int, records []keys.Record) *keys.Sorter {
	t.Helper()
	sorter := keys.New(dir, memory)
	t.Cleanup(func() {
		if err := sorter.Close(); err != nil {
			t.Error(err)
		}
	})
	writers := make([]*keys.Writer, workers)
	for i := range writers {
		writers[i] = sorter.Writer()
	}
	var group sync.WaitGroup
	for i, writer := range writers {
		group.Go(func() {
			for at := i; at < len(records); at += workers {
				if err := writer.Add(records[at].Key, records[at].Row); err != nil {
					t.Errorf("add: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	return sorter
}

func collect(t testing.TB, sequence iter.Seq2[keys.Record, error]) []keys.Record {
	t.Helper()
	var got []keys.Record
	for record, err := range sequence {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, record)
	}
	return got
}

// repeatedOnly says what it should be of sorted records.
func repeatedOnly(all []keys.Record) []keys.Record {
	var kept []keys.Record
	for i, record := range all {
		if i > 0 && all[i-1].Key == record.Key || i+1 < len(all) && all[i+1].Key == record.Key {
			kept = append(kept, record)
		}
	}
	return kept
}

func TestStaysWithinItsMemory(t *testing.T) {
	const budget, count = 4 << 20, 1_000_000 // 16 MB of records
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			sorter := keys.New(t.TempDir(), budget)
			defer sorter.Close()
			writer := sorter.Writer()
			random := rand.New(rand.NewPCG(3, 4))
			runtime.GC()
			runtime.ReadMemStats(&before)
			peak := uint64(0)
			look := func() {
				runtime.GC()
				runtime.ReadMemStats(&after)
				peak = max(peak, after.HeapAlloc)
			}
			for i := range count {
				if err := writer.Add(shape(random, i), uint64(i)); err != nil {
					t.Fatal(err)
				}
				if i%250_000 == 0 {
					look()
				}
			}
			seen := 0
			for _, err := range sorter.Sorted(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if seen++; seen%250_000 == 0 {
					look()
				}
			}
			look()
			if seen != count {
				t.Errorf("got %d records, want %d", seen, count)
			}
			if used := int64(peak) - int64(before.HeapAlloc); used > budget*5/4 {
				t.Errorf("%d KiB were in use at once, the budget is %d KiB", used>>10, budget>>10)
			}
		})
	}
}

func TestLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	sorter := spilled(t, dir)
	// What the process holds open has no name: a kill at any time leaves nothing either.
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("while sorting there is %v, %v", entries, err)
	}
	if open := openFiles(t, dir); open != 1 {
		t.Errorf("%d files in the directory are open, want 1", open)
	}
	for range 2 {
		if err := sorter.Close(); err != nil {
			t.Error(err)
		}
	}
	if open := openFiles(t, dir); open != 0 {
		t.Errorf("%d files in the directory are open after Close", open)
	}
	for _, err := range sorter.Sorted(t.Context()) {
		if err == nil {
			t.Error("a closed sorter yields records")
		}
	}
}

// openFiles counts this process's open files in dir, named or not.
func openFiles(t *testing.T, dir string) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells which files are open")
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name())); err == nil && strings.HasPrefix(target, dir+"/") {
			count++
		}
	}
	return count
}

// spilled is a sorter with more records than it may keep.
func spilled(t *testing.T, dir string) *keys.Sorter {
	t.Helper()
	records := make([]keys.Record, 200_000)
	random := rand.New(rand.NewPCG(5, 6))
	for i := range records {
		records[i] = keys.Record{Key: random.Uint64(), Row: uint64(i)}
	}
	return fill(t, dir, 0, 1, records)
}

func TestStopsWhenToldTo(t *testing.T) {
	started := runtime.NumGoroutine()
	t.Run("by the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seen := 0
		var last error
		for _, err := range spilled(t, t.TempDir()).Sorted(ctx) {
			if seen++; seen == 1000 {
				cancel()
			}
			last = err
		}
		if !errors.Is(last, context.Canceled) || seen > 150_000 {
			t.Errorf("after %d records: %v", seen, last)
		}
	})
	t.Run("by the reader", func(t *testing.T) {
		for range spilled(t, t.TempDir()).Sorted(t.Context()) {
			break
		}
	})
	// The goroutine of a subtest may end a moment later than t.Run.
	for until := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > started && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if now := runtime.NumGoroutine(); now > started {
		t.Errorf("%d goroutines, %d before", now, started)
	}
}

func TestSaysWhatIsWrong(t *testing.T) {
	t.Run("no directory", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "absent")
		err := overfill(keys.New(dir, 0))
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "make temporary file for keys") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("added after sorting", func(t *testing.T) {
		sorter := keys.New("", 0)
		defer sorter.Close()
		collect(t, sorter.Sorted(t.Context()))
		if err := sorter.Writer().Add(1, 1); err == nil {
			t.Error("accepted")
		}
		for _, err := range sorter.Sorted(t.Context()) {
			if err == nil {
				t.Error("sorted twice")
			}
		}
	})
}

// overfill adds records until there is an error, and checks that it stays.
func overfill(sorter *keys.Sorter) error {
	defer sorter.Close()
	writer := sorter.Writer()
	var err error
	for i := range uint64(2_000_000) {
		if err = writer.Add(i*0x9e3779b97f4a7c15, i); err != nil {
			break
		}
	}
	if again := writer.Add(1, 1); err != nil && again == nil {
		return errors.New("the error was forgotten")
	}
	for _, later := range sorter.Sorted(context.Background()) {
		if err != nil && later == nil {
			return errors.New("sorted though records are lost")
		}
	}
	return err
}

func BenchmarkMillion(b *testing.B) {
	for name, memory := range map[string]int64{"memory": 64 << 20, "disk": 4 << 20} {
		for _, read := range []string{"sorted", "repeated"} {
			b.Run(name+"/"+read, func(b *testing.B) {
				const count, workers = 1_000_000, 2
				all := make([]uint64, count)
				random := rand.New(rand.NewPCG(1, 2))
				for i := range all {
					all[i] = random.Uint64()
				}
				dir := b.TempDir()
				b.SetBytes(count * 16)
				for b.Loop() {
					million(b, dir, memory, workers, all, read)
				}
			})
		}
	}
}

func million(b *testing.B, dir string, memory int64, workers int, all []uint64, read string) {
	b.Helper()
	sorter := keys.New(dir, memory)
	defer sorter.Close()
	var group sync.WaitGroup
	for i := range workers {
		writer := sorter.Writer()
		group.Go(func() {
			for row := i * len(all) / workers; row < (i+1)*len(all)/workers; row++ {
				if err := writer.Add(all[row], uint64(row)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	sequence := sorter.Sorted(b.Context())
	if read == "repeated" {
		sequence = sorter.Repeated(b.Context())
	}
	for _, err := range sequence {
		if err != nil {
			b.Fatal(err)
		}
	}
}
