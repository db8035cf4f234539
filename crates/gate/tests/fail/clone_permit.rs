//! And not copied first. error[E0277]

use gate::Permit;

pub fn copy(permit: &Permit) -> Permit {
    Permit::clone(permit)
}
