//! Sequential detection statistics: SPRT bounds, CUSUM with its exact run lengths, Shiryaev's posterior, and the
//! likelihood-ratio cap a detector can honestly claim from the windows it was tested on.

pub mod arl;
pub mod quickest;

pub use arl::{cusum_arl, cusum_arl_two_sided, cusum_threshold};
pub use quickest::{Cusum, Shiryaev, iforest_normaliser, llr_cap, sprt_bounds};
