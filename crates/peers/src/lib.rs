//! Scripted mail hosts and DNS servers that run in both worlds
