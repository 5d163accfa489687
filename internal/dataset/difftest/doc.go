// Package difftest has no code but its test: package dataset and frictionless-py, the standard's own implementation,
// judge the same files by the same contracts, and must agree on the verdict and on each finding's rule, row and column.
//
// There are files written by hand (cells_test.go, files_test.go), most of them in pairs of a good and a bad one, and
// thousands that a seeded generator makes and spoils (generated_test.go). Where the two differ on purpose, the
// difference has a name in differences_test.go that says which side we take and why; docs/data-differences.md has the
// same table. A difference that no longer shows fails the test as one does that has no name.
package difftest
