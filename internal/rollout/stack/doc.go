// Package stack holds what docker/ and scripts/ are judged by where no image alone can show it: the whole system, brought
// up by Docker Compose from the images of this repository, asked by scripts/smoke.py, and looked through for secrets; and
// the alert rules, by Prometheus' own promtool. It has tests only.
package stack
