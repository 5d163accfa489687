// Package vets holds what vet finds.
package vets

import "fmt"

// Print misuses a verb.
func Print() string { return fmt.Sprintf("%d", "x") }
