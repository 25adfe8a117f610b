//! Turns a number into its power modulo an odd number, by Montgomery's multiplication (Handbook of Applied Cryptography,
//! §14.3.2), column by column.
//!
//! For public keys alone: how long it takes tells of the numbers. The widest product that wasm has is that of 32 bits by 32.
//! Limbs have 27 bits, so that the sum of a column's products, two for each limb of the largest modulus, stays below 2^64,
//! and carries are taken between columns only. Four columns are summed up at once: each limb that was read is used four times.
#![allow(
    clippy::indexing_slicing,
    reason = "every index is bounded by the number of limbs, which is that of the arrays or less; no octet from outside is one"
)]
#![allow(clippy::cast_possible_truncation, reason = "what is cut off stays in the carry")]

use core::cell::OnceCell;

/// An odd modulus, prepared once.
#[derive(Clone, Debug)]
pub struct Modulus {
    /// At least one bit is to spare, so that twice the modulus fits as well.
    blocks: Box<[Block]>,
    /// In bits.
    size: usize,
    /// R² modulo the modulus, where R is 2^27 to the number of limbs. Most of what a modulus costs, and worked out when it is first
    /// used: a set may hold sixty keys of which one signs.
    r_squared: OnceCell<Box<[Block]>>,
    /// −1 / modulus, modulo 2^27.
    negative_inverse: u32,
}

/// By the number itself; what was worked out from it does not count.
impl PartialEq for Modulus {
    fn eq(&self, other: &Self) -> bool {
        self.blocks == other.blocks
    }
}

impl Eq for Modulus {}

/// Four limbs, the lowest first, as everywhere here.
type Block = [u32; LIMBS];

/// A number below a modulus, in as many of the blocks as the modulus has.
type Number = [Block; MOST_BLOCKS];

/// The sums of the four columns of a block, and of the three above that its products reach.
type Columns = [u64; 2 * LIMBS - 1];

const LIMBS: usize = 4;
const BITS: usize = 27;
const MASK: u32 = (1 << BITS) - 1;
const MOST_BITS: usize = 8192;
const MOST_BLOCKS: usize = (MOST_BITS + 1).div_ceil(BITS * LIMBS);

impl Modulus {
    /// Of these octets, the highest first; none where it is even, begins with zero or has more than 8192 bits.
    pub fn new(octets: &[u8]) -> Option<Self> {
        let bits = 8 * octets.len() - octets.first()?.leading_zeros() as usize;
        if octets.first() == Some(&0) || octets.last()? % 2 == 0 || bits > MOST_BITS {
            return None;
        }
        let blocks: Box<[Block]> = read(octets)[..(bits + 1).div_ceil(BITS * LIMBS)].into();
        let negative_inverse = negative_inverse(blocks[0][0]);
        Some(Self { blocks, size: bits, r_squared: OnceCell::new(), negative_inverse })
    }

    fn r_squared(&self) -> Box<[Block]> {
        let bits_of_r = BITS * LIMBS * self.blocks.len();
        // A power of two below the modulus. Doubled up to R it is what Montgomery calls 1, and then 2.
        let mut number = vec![Block::default(); self.blocks.len()];
        number.as_flattened_mut()[(self.size - 1) / BITS] = 1 << ((self.size - 1) % BITS);
        (self.size - 1..=bits_of_r).for_each(|_| self.double(&mut number));
        // 2 to the number of its bits is R.
        for bit in (0..bits_of_r.ilog2()).rev() {
            self.square(&mut number);
            if bits_of_r >> bit & 1 == 1 {
                self.double(&mut number);
            }
        }
        number.into()
    }

    /// Writes `base` to the `exponent`, which is odd and not 1; none where `base` is not below the modulus.
    pub fn power(&self, base: &[u8], exponent: u64, power: &mut [u8]) -> Option<()> {
        if base.len() > MOST_BITS / 8 {
            return None;
        }
        let base = read(base);
        let (base, above) = base.split_at(self.blocks.len());
        // The octets of the modulus may hold more bits than its blocks.
        if above.as_flattened().iter().any(|limb| *limb != 0) || !is_below(base, &self.blocks) {
            return None;
        }
        let mut factor: Number = [[0; LIMBS]; MOST_BLOCKS];
        let factor = &mut factor[..base.len()];
        factor.copy_from_slice(base);
        self.multiply(factor, self.r_squared.get_or_init(|| self.r_squared()));
        let mut number: Number = [[0; LIMBS]; MOST_BLOCKS];
        let number = &mut number[..base.len()];
        number.copy_from_slice(factor);
        for bit in (1..exponent.ilog2()).rev() {
            self.square(number);
            if exponent >> bit & 1 == 1 {
                self.multiply(number, factor);
            }
        }
        self.square(number);
        // The factor without R takes R out.
        self.multiply(number, base);
        write(number, power);
        Some(())
    }

    /// Writes the modulus itself.
    pub fn write(&self, octets: &mut [u8]) {
        write(&self.blocks, octets);
    }

    /// `a` becomes a · b / R.
    fn multiply(&self, a: &mut [Block], b: &[Block]) {
        self.reduce(a, |columns, a, first, last| add_products(columns, &a[first..=last], &b[first..=last]));
    }

    /// `a` becomes a² / R. Each product of two blocks is there twice, but for those in the middle.
    fn square(&self, a: &mut [Block]) {
        self.reduce(a, |columns, a, first, last| {
            let half = (last + 1 - first) / 2;
            let mut once = Columns::default();
            add_products(&mut once, &a[first..first + half], &a[last + 1 - half..=last]);
            columns.iter_mut().zip(once).for_each(|(sum, once)| *sum += 2 * once);
            if (last - first).is_multiple_of(2) {
                add_product(columns, &a[first + half], &a[first + half]);
            }
        });
    }

    /// Divides a number of twice as many blocks by R, modulo the modulus, and puts it in the place of `a`. `add` adds the
    /// products of the blocks of `a` from the first to the last of these positions.
    #[inline(always)]
    fn reduce(&self, a: &mut [Block], add: impl Fn(&mut Columns, &[Block], usize, usize)) {
        let n = &self.blocks[..];
        let last = n.len() - 1;
        // So often the modulus is added that what is below R becomes zero.
        let mut times: Number = [[0; LIMBS]; MOST_BLOCKS];
        let mut columns = Columns::default();
        for at in 0..=last {
            add(&mut columns, a, 0, at);
            add_products(&mut columns, &times[..at], &n[1..=at]);
            times[at] = self.make_zero(&mut columns);
        }
        for at in 0..=last {
            // Nothing up to `at` is read any more.
            if at < last {
                add(&mut columns, a, at + 1, last);
                add_products(&mut columns, &times[at + 1..=last], &n[at + 1..=last]);
            }
            a[at] = take(&mut columns);
        }
        self.subtract_once(a);
    }

    /// How often the modulus has to be added to make a block zero.
    #[inline(always)]
    fn make_zero(&self, columns: &mut Columns) -> Block {
        let mut times = Block::default();
        for at in 0..LIMBS {
            times[at] = (columns[at] as u32).wrapping_mul(self.negative_inverse) & MASK;
            for (limb, own) in self.blocks[0].iter().enumerate() {
                columns[at + limb] += product(times[at], *own);
            }
            columns[at + 1] += columns[at] >> BITS;
        }
        *columns = [columns[4], columns[5], columns[6], 0, 0, 0, 0];
        times
    }

    fn double(&self, a: &mut [Block]) {
        let mut carry = 0;
        for limb in a.as_flattened_mut() {
            let doubled = *limb << 1 | carry;
            (*limb, carry) = (doubled & MASK, doubled >> BITS);
        }
        self.subtract_once(a);
    }

    /// `a`, which is below twice the modulus, comes below the modulus.
    fn subtract_once(&self, a: &mut [Block]) {
        if is_below(a, &self.blocks) {
            return;
        }
        let mut borrow = 0;
        for (limb, own) in a.as_flattened_mut().iter_mut().zip(self.blocks.as_flattened()) {
            let difference = limb.wrapping_sub(*own).wrapping_sub(borrow);
            (*limb, borrow) = (difference & MASK, difference >> 31);
        }
    }
}

fn product(a: u32, b: u32) -> u64 {
    u64::from(a) * u64::from(b)
}

#[inline(always)]
fn add_product(columns: &mut Columns, a: &Block, b: &Block) {
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            columns[i + j] += product(*a, *b);
        }
    }
}

/// The first of `a` with the last of `b`, and so on; both have the same length.
#[inline(always)]
fn add_products(columns: &mut Columns, a: &[Block], b: &[Block]) {
    a.iter().zip(b.iter().rev()).for_each(|(a, b)| add_product(columns, a, b));
}

/// Takes the lowest block out.
#[inline(always)]
fn take(columns: &mut Columns) -> Block {
    let mut block = Block::default();
    for at in 0..LIMBS {
        block[at] = columns[at] as u32 & MASK;
        columns[at + 1] += columns[at] >> BITS;
    }
    *columns = [columns[4], columns[5], columns[6], 0, 0, 0, 0];
    block
}

fn is_below(a: &[Block], b: &[Block]) -> bool {
    a.as_flattened().iter().rev().lt(b.as_flattened().iter().rev())
}

/// Newton's iteration: each step doubles the low bits that are right, of which an odd number has three as its own inverse.
fn negative_inverse(odd: u32) -> u32 {
    let step = |inverse: u32, _| inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse)));
    (0..4).fold(odd, step).wrapping_neg() & MASK
}

/// The limbs of at most 8192 bits.
fn read(octets: &[u8]) -> Number {
    let mut number = [[0; LIMBS]; MOST_BLOCKS];
    let (mut held, mut bits, mut limbs) = (0, 0, number.as_flattened_mut().iter_mut());
    for octet in octets.iter().rev().take(MOST_BITS / 8) {
        held |= u64::from(*octet) << bits;
        bits += 8;
        if bits >= BITS
            && let Some(limb) = limbs.next()
        {
            *limb = held as u32 & MASK;
            held >>= BITS;
            bits -= BITS;
        }
    }
    if let Some(limb) = limbs.next() {
        *limb = held as u32;
    }
    number
}

fn write(blocks: &[Block], octets: &mut [u8]) {
    let (mut held, mut bits, mut limbs) = (0, 0, blocks.as_flattened().iter());
    for octet in octets.iter_mut().rev() {
        if bits < 8 {
            held |= u64::from(limbs.next().copied().unwrap_or(0)) << bits;
            bits += BITS;
        }
        *octet = held as u8;
        held >>= 8;
        bits = bits.saturating_sub(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsa::BoxedUint;

    const SIZES: [usize; 12] = [2048, 2049, 2051, 2055, 2056, 2079, 3072, 4096, 4099, 8101, 8191, 8192];
    const EXPONENTS: [u64; 6] = [3, 5, 17, 65537, (1 << 32) + 1, (1 << 33) - 1];

    /// As the library has it, of a base below the modulus.
    fn expected(modulus: &[u8], base: &[u8], exponent: u64) -> Vec<u8> {
        let [n, base] = [modulus, base].map(BoxedUint::from_be_slice_vartime);
        let key = rsa::PublicKey::new_with_size_limits(n, exponent.into(), 2048..=8192).unwrap();
        let power = rsa::hazmat::rsa_encrypt(&key, &base).unwrap().to_be_bytes_trimmed_vartime();
        [&vec![0; modulus.len() - power.len()], &*power].concat()
    }

    fn power(modulus: &[u8], base: &[u8], exponent: u64) -> Option<Vec<u8>> {
        let mut power = vec![0xaa; modulus.len()];
        Modulus::new(modulus).unwrap().power(base, exponent, &mut power).map(|()| power)
    }

    /// These octets as an odd number of exactly so many bits.
    fn odd(octets: &[u8], bits: usize) -> Vec<u8> {
        let mut octets = octets[..bits.div_ceil(8)].to_vec();
        octets[0] = (octets[0] % 128) >> (8 * octets.len() - bits) | 1 << ((bits - 1) % 8);
        *octets.last_mut().unwrap() |= 1;
        octets
    }

    fn less_one(odd: &[u8]) -> Vec<u8> {
        let (last, rest) = odd.split_last().unwrap();
        [rest, &[last - 1]].concat()
    }

    #[test]
    fn powers_are_those_of_the_library_at_the_edges() {
        for bits in SIZES {
            for modulus in [odd(&[0xff; 1024], bits), odd(&[0; 1024], bits), odd(&[0x55; 1024], bits)] {
                let ends = |octet| [&vec![0; modulus.len() - 1][..], &[octet]].concat();
                for base in [ends(0), ends(1), ends(2), less_one(&modulus), [&[0], &modulus[1..]].concat()] {
                    for exponent in EXPONENTS {
                        let expected = expected(&modulus, &base, exponent);
                        assert_eq!(power(&modulus, &base, exponent), Some(expected), "{bits} {exponent}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_base_that_is_not_below_the_modulus_has_no_power() {
        for bits in SIZES {
            for modulus in [odd(&[0xff; 1024], bits), odd(&[0x55; 1024], bits)] {
                assert!(power(&modulus, &less_one(&modulus), 3).is_some());
                assert_eq!(power(&modulus, &modulus, 3), None);
                let (last, rest) = modulus.split_last().unwrap();
                if let Some(more) = last.checked_add(1) {
                    assert_eq!(power(&modulus, &[rest, &[more]].concat(), 3), None);
                }
                let most = vec![0xff; modulus.len()];
                assert_eq!(power(&modulus, &most, 3), None, "{bits}");
            }
        }
    }

    #[test]
    fn no_bit_of_a_base_is_lost() {
        for bits in 2048..=2304 {
            let modulus = odd(&[0; 1024], bits);
            let one = [&vec![0; modulus.len() - 1][..], &[1]].concat();
            assert_eq!(power(&modulus, &one, 3), Some(one.clone()), "{bits}");
            for bit in (0..8).filter(|bit| 8 * (modulus.len() - 1) + bit >= bits) {
                let base = [&[1 << bit], &one[1..]].concat();
                assert_eq!(power(&modulus, &base, 3), None, "{bits}, {bit}");
            }
        }
        let longer = [&[1], &[0; 1023][..], &[1]].concat();
        assert_eq!(Modulus::new(&[0xff; 1024]).unwrap().power(&longer, 3, &mut [0; 1024]), None);
    }

    #[test]
    fn even_numbers_numbers_that_begin_with_zero_and_those_above_8192_bits_are_no_modulus() {
        let good = odd(&[0x55; 1024], 2048);
        assert!(Modulus::new(&good).is_some());
        assert_eq!(Modulus::new(&less_one(&good)), None);
        assert_eq!(Modulus::new(&[&[0], &good[..]].concat()), None);
        assert!(Modulus::new(&[0xff; 1024]).is_some());
        assert_eq!(Modulus::new(&[0xff; 1025]), None);
        assert_eq!(Modulus::new(&[]), None);
        assert_eq!(Modulus::new(&[0]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn powers_are_those_of_the_library(
            octets in prop::collection::vec(any::<u8>(), 1024),
            base in prop::collection::vec(any::<u8>(), 1024),
            bits in 2048_usize..=8192,
            exponent in prop::sample::select(&EXPONENTS[..]),
        ) {
            let modulus = odd(&octets, bits);
            let base = &base[..modulus.len()];
            if base < &modulus[..] {
                prop_assert_eq!(power(&modulus, base, exponent), Some(expected(&modulus, base, exponent)));
            } else {
                prop_assert_eq!(power(&modulus, base, exponent), None);
            }
        }

        #[test]
        fn a_modulus_is_written_as_it_was_read(octets in prop::collection::vec(any::<u8>(), 1024), bits in 2048_usize..=8192) {
            let modulus = odd(&octets, bits);
            let mut written = vec![0; modulus.len()];
            Modulus::new(&modulus).unwrap().write(&mut written);
            prop_assert_eq!(written, modulus);
        }
    }
}
