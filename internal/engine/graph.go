package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A node is one step in the graph of what runs after what.
type node struct {
	stage, index int
	stageName    string
	step         Step
	slots        int
	after        []*node
	before       []*node
	expected     time.Duration // of the step itself; 0 if unknown
	chain        time.Duration // of the step and the longest chain of those that wait for it
	state        nodeState
	provision    *provisioning
	result       StepResult
}

type nodeState int

const (
	waiting nodeState = iota
	running
	finished
)

func (n *node) id() string { return n.stageName + ":" + n.step.Name }

type graph struct {
	nodes  []*node
	stages [][]*node
}

// newGraph resolves every After edge, and refuses unknown names and circles.
func newGraph(stages []PlannedStage) (*graph, error) {
	g := &graph{stages: make([][]*node, len(stages))}
	for s, stage := range stages {
		for i, step := range stage.Steps {
			n := &node{stage: s, index: i, stageName: stage.Name, step: step, slots: max(step.Slots, 1)}
			g.nodes = append(g.nodes, n)
			g.stages[s] = append(g.stages[s], n)
		}
	}
	for _, n := range g.nodes {
		if err := g.link(n); err != nil {
			return nil, err
		}
	}
	return g, g.circle()
}

func (g *graph) link(n *node) error {
	for _, name := range n.step.After {
		found := g.named(n.stageName + ":" + name)
		if len(found) == 0 {
			found = g.named(name)
		}
		if len(found) == 0 {
			return fmt.Errorf("order step %s: it runs after %q, which is no step of stage %s and no stage of this run; there are %s",
				n.id(), name, n.stageName, strings.Join(g.names(), ", "))
		}
		for _, before := range found {
			if before == n {
				return fmt.Errorf("order step %s: it runs after %q, which is the step itself", n.id(), name)
			}
			if !slices.Contains(n.after, before) {
				n.after = append(n.after, before)
				before.before = append(before.before, n)
			}
		}
	}
	return nil
}

// named returns the step "stage:step", or all steps of "stage".
func (g *graph) named(name string) []*node {
	var found []*node
	for _, n := range g.nodes {
		if n.id() == name || n.stageName == name {
			found = append(found, n)
		}
	}
	return found
}

func (g *graph) names() []string {
	var all []string
	for _, n := range g.nodes {
		all = append(all, n.id())
	}
	return all
}

// circle returns an error that names the steps that wait for each other, if there are any.
func (g *graph) circle() error {
	done := map[*node]bool{}
	var path []*node
	var visit func(*node) error
	visit = func(n *node) error {
		if at := slices.Index(path, n); at >= 0 {
			var names []string
			for _, m := range append(path[at:], n) {
				names = append(names, m.id())
			}
			return fmt.Errorf("order step %s: steps wait for each other: %s", n.id(), strings.Join(names, " after "))
		}
		if done[n] {
			return nil
		}
		path = append(path, n)
		for _, m := range n.after {
			if err := visit(m); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		done[n] = true
		return nil
	}
	for _, n := range g.nodes {
		if err := visit(n); err != nil {
			return err
		}
	}
	return nil
}

func (g *graph) withNeeds(n *node, keep map[*node]bool) {
	if keep[n] {
		return
	}
	keep[n] = true
	for _, m := range n.after {
		g.withNeeds(m, keep)
	}
}

// prioritise returns the nodes in the order in which they should start, given the chance: the longest expected chain
// first, so that the longest tool never starts last. One that is not in the history may be the longest, so it goes
// before the known ones; among these, many slots and a long timeout hint at long work.
func (g *graph) prioritise(limit int, expected func(stage, step string) time.Duration) []*node {
	for _, n := range g.nodes {
		n.slots = min(n.slots, limit)
		if expected != nil {
			n.expected = max(expected(n.stageName, n.step.Name), 0)
		}
	}
	known := map[*node]bool{}
	for _, n := range g.nodes {
		n.measure(known)
	}
	order := slices.Clone(g.nodes)
	slices.SortStableFunc(order, func(a, b *node) int {
		return cmp.Or(
			-compareBool(a.expected == 0, b.expected == 0),
			-cmp.Compare(a.chain, b.chain),
			-cmp.Compare(a.slots, b.slots),
			-cmp.Compare(a.step.Timeout, b.step.Timeout),
		)
	})
	return order
}

func (n *node) measure(known map[*node]bool) time.Duration {
	if known[n] {
		return n.chain
	}
	known[n] = true
	var longest time.Duration
	for _, m := range n.before {
		longest = max(longest, m.measure(known))
	}
	n.chain = n.expected + longest
	return n.chain
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}
