//! Bytes that are nearly right: what a decoder has to live with.

use crate::Dice;

/// One of the `seeds` with some changes that a line, a bug or somebody's intent might make.
///
/// # Panics
/// Without seeds.
pub fn mutate(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = dice.pick(seeds);
    for _ in 0..=dice.below(8) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(12)).min(bytes.len());
        match dice.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let other = dice.pick(seeds);
                let from = dice.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            4 => bytes.insert(at, any(dice)),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = match dice.below(3) {
                        0 => *byte ^ (1 << dice.below(8)),
                        1 => dice.pick(&[0, 1, 0x7f, 0x80, 0xff]),
                        _ => any(dice),
                    };
                }
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

fn any(dice: &mut Dice) -> u8 {
    dice.roll().to_le_bytes()[0]
}

/// Longer than any message that is agreed on by default.
const LONGEST: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_are_another_and_all_are_the_same_again() {
        let seeds = [b"a message".to_vec(), b"another one".to_vec()];
        let made = |seed| mutate(&mut Dice::new(seed), &seeds);
        let others = (0..1000).filter(|it| !seeds.contains(&made(*it))).count();
        assert!(others > 800, "{others} of 1000");
        assert!((0..1000).all(|it| made(it) == made(it)));
    }
}
