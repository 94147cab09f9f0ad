package serve

import "github.com/go-chi/chi/v5"

// AdminRoutes are what the admin port has over HTTP.
func (s *Server) AdminRoutes() chi.Routes { return s.adminRouter() }
