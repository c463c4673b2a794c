//! test_route
