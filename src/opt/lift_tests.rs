//! Foreign programs and what comes out of them.
