package main

import "go/ast"

// callers finds the unexported functions and methods that the package names exactly once beside their declaration. Names
// are told apart by their letters alone, and one that two functions have counts for neither: that is how the figures of the
// other servers were counted. What the type checker would say is some percent more, for them as for us.
func (c *counts) callers(p *pkg) {
	declared := make(map[string][]*ast.FuncDecl)
	named := make(map[string][]*ast.Ident)
	for _, f := range p.files {
		var own *ast.Ident
		ast.Inspect(f.ast, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				own = node.Name
				if !own.IsExported() && own.Name != "main" {
					declared[own.Name] = append(declared[own.Name], node)
				}
			case *ast.Ident:
				if node != own {
					named[node.Name] = append(named[node.Name], node)
				}
			}
			return true
		})
	}
	for name, functions := range declared {
		if len(functions) != 1 || len(named[name]) != 1 {
			continue
		}
		function, caller := p.set.Position(functions[0].Pos()), p.set.Position(named[name][0].Pos())
		c.single = append(c.single, place{what: name, at: function})
		if function.Filename != caller.Filename {
			c.apart = append(c.apart, place{what: name + ", called in " + caller.String(), at: function})
		}
	}
}
