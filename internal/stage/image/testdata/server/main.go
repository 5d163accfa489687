// Server is the program of the tests' images: a good one, and each that is not.
//
//	server serve MODE    server check    server sh
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const port = "8080"

func main() {
	switch os.Args[1] {
	case "check":
		check()
	case "serve":
		serve(os.Args[2])
	}
}

func check() {
	answer, err := http.Get("http://127.0.0.1:" + port + "/health")
	if err != nil {
		fmt.Println("check:", err)
		os.Exit(1)
	}
	fmt.Println("check:", answer.Status)
	if answer.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}

func serve(mode string) {
	fmt.Println("serving", mode, "with TOKEN", os.Getenv("TOKEN"))
	file := "/tmp/state"
	switch mode {
	case "exits":
		fmt.Fprintln(os.Stderr, "something is wrong")
		os.Exit(1)
	case "writes":
		file = "/state"
	case "hungry":
		hunger()
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(4)
	}
	status := map[string]int{"sick": http.StatusServiceUnavailable}
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(max(status[mode], http.StatusOK))
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case mode == "fails", r.Method == http.MethodPost && string(body) != `{"a": 1}`:
			http.Error(w, "\x1b[31mthis went wrong", http.StatusInternalServerError)
		case mode == "moves":
			http.Redirect(w, r, "/health", http.StatusFound)
		}
	})
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() {
		<-told
		switch mode {
		case "deaf":
			return
		case "sulks":
			os.Exit(3)
		}
		os.Exit(0)
	}()
	host := ""
	if mode == "shy" {
		host = "127.0.0.1"
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(host+":"+port, nil))
	os.Exit(5)
}

// hunger takes memory until it is stopped.
func hunger() {
	var all [][]byte
	for {
		more := make([]byte, 1<<20)
		for i := range more {
			more[i] = 1
		}
		all = append(all, more)
		if len(all)%64 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}
