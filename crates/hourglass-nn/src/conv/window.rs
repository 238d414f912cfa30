//! Sizes of a sliding window and of the maps on both its sides.

use crate::{Error, Result};

/// A window that slides over a map, each as `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its height and width, in pixels; 1 or more.
    pub kernel: [usize; 2],
    /// Pixels from one position to the next; 1 or more.
    pub stride: [usize; 2],
    /// Zeros added on each side of the map; less than the kernel.
    pub padding: [usize; 2],
}

impl Window {
    /// The same numbers in both directions.
    pub fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Window { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2] }
    }

    /// For signals, which are maps of height 1.
    pub fn along(kernel: usize, stride: usize, padding: usize) -> Self {
        Window { kernel: [1, kernel], stride: [1, stride], padding: [0, padding] }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(&self) -> Result<()> {
        for axis in 0..2 {
            let (kernel, padding) = (self.kernel[axis], self.padding[axis]);
            if kernel == 0 {
                return Err(Error::hyperparameter("kernel", kernel, "1 or more"));
            }
            if self.stride[axis] == 0 {
                return Err(Error::hyperparameter("stride", 0, "1 or more"));
            }
            if padding >= kernel {
                return Err(Error::hyperparameter("padding", padding, "less than the kernel"));
            }
        }
        Ok(())
    }

    /// Number of pixels under it.
    pub fn area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Size of the map with one pixel for each position on a map of `size`, or `None` where the
    /// window is larger than the padded map.
    pub fn positions(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let room = (size[axis] + 2 * self.padding[axis]).checked_sub(self.kernel[axis])?;
            Some(room / self.stride[axis] + 1)
        };
        Some([along(0)?, along(1)?])
    }

    /// Size of the map that `size` positions cover, less the padding, with `extra` pixels at the
    /// bottom and right that stride leaves open; `None` where nothing is left.
    pub fn covered(&self, size: [usize; 2], extra: [usize; 2]) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let steps = size[axis].checked_sub(1)? * self.stride[axis];
            let open = steps + self.kernel[axis] + extra[axis];
            open.checked_sub(2 * self.padding[axis]).filter(|&n| n > 0)
        };
        Some([along(0)?, along(1)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covering_undoes_sliding() {
        for kernel in 1..5 {
            for stride in 1..4 {
                for padding in 0..kernel {
                    let window = Window::square(kernel, stride, padding);
                    window.check().unwrap();
                    for size in 5..12 {
                        let small = window.positions([size, size + 1]).unwrap();
                        let least = window.covered(small, [0, 0]).unwrap();
                        let extra = [size - least[0], size + 1 - least[1]];
                        assert!(extra[0] < stride && extra[1] < stride);
                        assert_eq!(window.covered(small, extra).unwrap(), [size, size + 1]);
                    }
                }
            }
        }
        assert_eq!(Window::square(5, 1, 0).positions([4, 9]), None);
        assert_eq!(Window::along(3, 2, 1).positions([1, 9]), Some([1, 5]));
        assert!(Window::square(3, 1, 3).check().is_err());
        assert!(Window::square(3, 0, 0).check().is_err());
    }
}
