//! Accepts SMTP submissions, applies policy and makes mail durable before 250
