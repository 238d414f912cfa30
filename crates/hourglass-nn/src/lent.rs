//! Matrices that are lent for a step and given back for the next, so that a step allocates, and
//! zeroes, nothing that the one before it had already.
//!
//! Unlike [`crate::scratch`], they outlive the call that borrows them, and are used by all threads.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

use hourglass_core::Matrix;

/// Values that are kept at most while nobody needs them: 64 MiB.
const MAX_KEPT: usize = 16 << 20;

static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// A matrix that goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lent(Matrix);

/// A matrix of this shape. What it holds at first is not said: write before you read.
pub(crate) fn lend(shape: (usize, usize)) -> Lent {
    let len = shape.0 * shape.1;
    let mut free = free();
    let place = free.iter().rposition(|values| values.len() == len);
    let values = place.map(|place| free.swap_remove(place));
    drop(free);
    let values = values.unwrap_or_else(|| vec![0.0; len]);
    Lent(Matrix::from_shape_vec(shape, values).expect("the length was taken from the shape"))
}

fn free() -> MutexGuard<'static, Vec<Vec<f32>>> {
    // A thread that panicked left nothing half done here.
    FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Deref for Lent {
    type Target = Matrix;

    fn deref(&self) -> &Matrix {
        &self.0
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Matrix {
        &mut self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.0).into_raw_vec_and_offset().0;
        let mut free = free();
        free.push(values);
        while free.iter().map(Vec::len).sum::<usize>() > MAX_KEPT {
            free.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_comes_back() {
        // A shape that no other test has.
        let shape = (3, 10_007);
        let mut first = lend(shape);
        first.fill(7.0);
        let address = first.as_ptr();
        drop(first);
        let second = lend((10_007, 3));
        assert_eq!((second.as_ptr(), second.dim()), (address, (10_007, 3)));
        assert_ne!(lend(shape).as_ptr(), address);
    }
}
