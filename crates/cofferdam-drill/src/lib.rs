//! Drills: scenarios as data, the world they run in, and their scorecards.
