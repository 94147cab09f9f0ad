package pure

// Which outputs take over their inputs' memory.

// shareMemory lets an output take over its input's memory if nothing reads the input later.
func (p *plan) shareMemory() {
	root := make([]ref, p.values) // of the chain of views that a value belongs to
	owned := make([]bool, p.values)
	last := make([]int, p.values) // the last step that reads a root's memory
	for i := range root {
		root[i] = ref(i)
	}
	for _, s := range p.steps {
		for _, r := range s.out {
			if r != none {
				owned[r] = true
			}
		}
	}
	isOutput := map[ref]bool{}
	for _, r := range p.outputs {
		isOutput[r] = true
	}
	for i := range p.steps {
		s := &p.steps[i]
		for _, r := range s.in {
			if r >= 0 && r != none {
				last[root[r]] = i
			}
		}
		if !s.views() || s.out[0] == none {
			continue
		}
		if s.share = !isOutput[s.out[0]]; !s.share {
			continue
		}
		if s.in[0] < 0 {
			owned[s.out[0]] = false
		} else {
			root[s.out[0]] = root[s.in[0]]
		}
	}
	for _, r := range p.outputs {
		if r >= 0 {
			last[root[r]] = len(p.steps)
		}
	}
	for i := range p.steps {
		s := &p.steps[i]
		if s.views() || !s.share {
			continue
		}
		r := s.in[0]
		s.share = r >= 0 && r != none && s.out[0] != none && !isOutput[s.out[0]] &&
			owned[root[r]] && last[root[r]] == i && !p.readsTwice(s, root)
	}
}

// readsTwice reports whether a step reads the memory of its first input through another input too.
func (p *plan) readsTwice(s *step, root []ref) bool {
	for _, r := range s.in[1:] {
		if r >= 0 && r != none && root[r] == root[s.in[0]] {
			return true
		}
	}
	return false
}
