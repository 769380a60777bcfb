//! Decoded pictures, and operations on whole pixels.

/// A decoded picture: `pixels` is (height, width, channels) in row-major order, with 1 or 3 channels.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub pixels: Vec<u8>,
}

/// A rectangle of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

impl Picture {
    /// Replaces three channels with the luma of ITU-R 601, as Pillow's `convert("L")`.
    pub fn make_gray(&mut self) {
        if self.channels == 3 {
            self.pixels = self.pixels.chunks_exact(3).map(luma).collect();
            self.channels = 1;
        }
    }

    /// Crops the picture to a rectangle within it.
    pub fn cut(&self, part: Part) -> Picture {
        let row = self.width * self.channels;
        let columns = part.left * self.channels..(part.left + part.width) * self.channels;
        let rows = self.pixels.chunks_exact(row).skip(part.top).take(part.height);
        let pixels = rows.flat_map(|row| &row[columns.clone()]).copied().collect();
        Picture { width: part.width, height: part.height, channels: self.channels, pixels }
    }

    /// Flips the picture horizontally.
    pub fn mirror(&mut self) {
        let (channels, width) = (self.channels, self.width);
        for row in self.pixels.chunks_exact_mut(width * channels) {
            for left in 0..width / 2 {
                for channel in 0..channels {
                    row.swap(left * channels + channel, (width - 1 - left) * channels + channel);
                }
            }
        }
    }
}

/// The luma in 16-bit fixed point, rounded; a single channel is luma already.
pub fn luma(pixel: &[u8]) -> u8 {
    match *pixel {
        [r, g, b] => ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8,
        _ => pixel.first().copied().unwrap_or(0),
    }
}
