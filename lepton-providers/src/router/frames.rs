//! The frames of a WebSocket (RFC 6455), as far as their ends have to be known.

/// The opcode of a close frame.
const CLOSE: u8 = 0x8;

/// A close frame for a client: code 1012, service restart.
pub(super) const CLOSE_FOR_CLIENT: [u8; 4] = [0x88, 2, 0x03, 0xF4];

/// The same for a server. Frames to a server are masked.
pub(super) fn close_for_server(mask: [u8; 4]) -> [u8; 8] {
    [0x88, 0x82, mask[0], mask[1], mask[2], mask[3], 0x03 ^ mask[0], 0xF4 ^ mask[1]]
}

/// Where one direction of a WebSocket is: between frames, or within one.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; 14],
    have: usize,
    /// Bytes of the payload that are still to come.
    left: u64,
    closed: bool,
}

impl Frames {
    /// Whether the last frame has ended and no other has begun.
    pub(super) fn between(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Whether a close frame has come.
    pub(super) fn closed(&self) -> bool {
        self.closed
    }

    /// Follows all bytes.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.take(bytes);
            bytes = &bytes[taken..];
        }
    }

    /// Follows bytes to the end of the frame in which they begin, and returns how many they are.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            if self.left > 0 {
                let rest = (bytes.len() - taken) as u64;
                let step = rest.min(self.left);
                self.left -= step;
                taken += usize::try_from(step).unwrap_or(usize::MAX);
                if self.left == 0 {
                    return taken;
                }
                continue;
            }
            self.header[self.have] = bytes[taken];
            (self.have, taken) = (self.have + 1, taken + 1);
            if self.have >= 2 && self.have == self.header_length() {
                self.closed |= self.header[0] & 0x0F == CLOSE;
                (self.left, self.have) = (self.payload(), 0);
                if self.left == 0 {
                    return taken;
                }
            }
        }
        taken
    }

    fn header_length(&self) -> usize {
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        let length = match self.header[1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + mask
    }

    fn payload(&self) -> u64 {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        match self.header[1] & 0x7F {
            126 => number(&self.header[2..4]),
            127 => number(&self.header[2..10]),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a payload of this length.
    fn frame(opcode: u8, masked: bool, length: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match length {
            0..126 => frame.push(mask | u8::try_from(length).unwrap()),
            126..65536 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![0x88; if masked { 4 } else { 0 } + length]);
        frame
    }

    #[test]
    fn the_ends_of_frames_are_found_wherever_the_bytes_are_cut() {
        let frames = [
            frame(1, true, 0),
            frame(2, false, 5),
            frame(1, true, 125),
            frame(0, false, 126),
            frame(2, true, 70_000),
            frame(9, false, 0),
        ];
        let all = frames.concat();
        for cut in (0..300).chain([all.len() - 2, all.len() - 1]) {
            let mut state = Frames::default();
            state.follow(&all[..cut]);
            let ends = frames.iter().scan(0, |end, frame| {
                *end += frame.len();
                Some(*end)
            });
            let end = std::iter::once(0).chain(ends).find(|end| *end >= cut).unwrap();
            assert_eq!(state.between(), end == cut, "cut at {cut}");
            assert_eq!(cut + state.take(&all[cut..end]), end, "cut at {cut}");
            assert!(state.between() && !state.closed(), "cut at {cut}");
        }
    }

    #[test]
    fn close_frames_are_seen_and_made() {
        for close in [CLOSE_FOR_CLIENT.to_vec(), close_for_server([1, 2, 3, 4]).to_vec()] {
            let mut state = Frames::default();
            state.follow(&close);
            assert!(state.closed() && state.between());
        }
        let [.., high, low] = close_for_server([1, 2, 3, 4]);
        assert_eq!(u16::from_be_bytes([high ^ 1, low ^ 2]), 1012);
    }
}
