//! Places as numbers: the globe halved again and again, a bit for each half.
//!
//! The bits of latitude and longitude alternate, longitude's first, so that numbers near each
//! other are places near each other, and a cell is a range of numbers. Members of a sorted set
//! have 52 bits, which a double holds.

use std::ops::Range;

/// How often a place is halved in each direction.
pub(super) const STEPS_MAX: u32 = 26;
/// The poles are left out, as on a web map.
pub(super) const LATITUDE_MAX: f64 = 85.051_128_78;
pub(super) const LONGITUDE_MAX: f64 = 180.0;
const EARTH_RADIUS: f64 = 6_372_797.560_856;
const EAST_BITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;
const NORTH_BITS: u64 = 0x5555_5555_5555_5555;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// A rectangle of the globe, halved `steps` times in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    bits: u64,
    steps: u32,
}

/// Where a cell lies.
#[derive(Clone, Debug)]
pub(super) struct Area {
    pub(super) longitude: Range<f64>,
    pub(super) latitude: Range<f64>,
}

impl Point {
    /// Whether a sorted set can hold it.
    pub(super) fn is_on_map(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// The score of a place.
    pub(super) fn score(self) -> f64 {
        // 52 bits fit.
        Cell::of(self, STEPS_MAX).bits as f64
    }

    /// The middle of the cell that a score names.
    pub(super) fn of_score(score: f64) -> Self {
        let area = Cell {
            bits: bits_of(score),
            steps: STEPS_MAX,
        }
        .area();
        let middle = |range: Range<f64>| (range.start + range.end) / 2.0;
        Self {
            longitude: middle(area.longitude).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: middle(area.latitude).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The 11 characters of the geohash of other programs, whose map reaches to the poles. The
    /// last has no bits left to tell.
    pub(super) fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = interleaved(self, 90.0, STEPS_MAX);
        let mut text = [b'0'; 11];
        for (at, place) in text.iter_mut().take(10).enumerate() {
            let digit = (bits >> (47 - at * 5)) & 0x1f;
            *place = ALPHABET.get(digit as usize).copied().unwrap_or(b'0');
        }
        text
    }

    /// Metres between two places, on a sphere.
    pub(super) fn distance(self, other: Self) -> f64 {
        Origin::new(self).distance(other)
    }
}

/// A place that distances are measured from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    latitude_degrees: f64,
    longitude: f64,
    latitude: f64,
    /// The latitude's cosine.
    shrunk: f64,
}

impl Origin {
    pub(super) fn new(place: Point) -> Self {
        let latitude = place.latitude.to_radians_as_c();
        Self {
            latitude_degrees: place.latitude,
            longitude: place.longitude.to_radians_as_c(),
            latitude,
            shrunk: latitude.cos(),
        }
    }

    /// Metres to another place, on a sphere.
    pub(super) fn distance(&self, place: Point) -> f64 {
        let across = ((place.longitude.to_radians_as_c() - self.longitude) / 2.0).sin();
        // A case of its own in Redis, which rounds differently.
        if across == 0.0 {
            return latitude_distance(self.latitude_degrees, place.latitude);
        }
        let there = place.latitude.to_radians_as_c();
        let along = ((there - self.latitude) / 2.0).sin();
        let half = along * along + self.shrunk * there.cos() * across * across;
        2.0 * EARTH_RADIUS * half.sqrt().asin()
    }

    /// Whether a place lies farther away than `radius`, and so much that rounding does not
    /// matter. If not, it may still lie farther away.
    ///
    /// The haversine formula with lower bounds in place of the sines and the cosine, which cost
    /// most of the time: sin x > x - x³/6, and a cosine changes by less than its angle does.
    #[inline]
    pub(super) fn is_surely_beyond(&self, radius: Radius, place: Point) -> bool {
        let along = (place.latitude.to_radians_as_c() - self.latitude).abs() / 2.0;
        let across = (place.longitude.to_radians_as_c() - self.longitude).abs() / 2.0;
        // Beyond this, the cubic is no good bound; beyond the poles, where only members with odd
        // scores lie, cosines are negative. What is no number is not small.
        let is_usual = along < 0.5 && across < 0.5 && place.latitude.abs() <= 90.0;
        if !(is_usual && self.shrunk >= 0.0) {
            return false;
        }
        let sine = |angle: f64| angle - angle * angle * angle / 6.0;
        let (along_sine, across_sine) = (sine(along), sine(across));
        let shrunk = self.shrunk * (self.shrunk - 2.0 * along).max(0.0);
        along_sine * along_sine + shrunk * across_sine * across_sine > radius.half_chord_squared
    }
}

/// A distance to compare with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Radius {
    /// Of half the angle, the sine's square and a little more.
    half_chord_squared: f64,
}

impl Radius {
    pub(super) fn of(metres: f64) -> Self {
        let angle = metres / EARTH_RADIUS / 2.0;
        // Sines stop growing at a quarter of the way around.
        let sine = angle.clamp(0.0, std::f64::consts::FRAC_PI_2).sin();
        Self {
            half_chord_squared: sine * sine * (1.0 + 1e-9),
        }
    }
}

/// The 64 bits of a score that may be any number: what is no place is some place, and Redis's is
/// the one that x86-64 converts it to.
#[expect(clippy::cast_sign_loss, reason = "bits are wanted")]
fn bits_of(score: f64) -> u64 {
    const HALF: u64 = 1 << 63;
    if score < HALF as f64 {
        truncated(score) as u64
    } else {
        truncated(score - HALF as f64) as u64 ^ HALF
    }
}

/// The integer part; the least number for what has none among 64 bits, as x86-64 has it.
pub(super) fn truncated(score: f64) -> i64 {
    const LIMIT: f64 = (1u64 << 63) as f64;
    if (-LIMIT..LIMIT).contains(&score) {
        score as i64
    } else {
        i64::MIN
    }
}

/// Metres between two latitudes.
pub(super) fn latitude_distance(a: f64, b: f64) -> f64 {
    EARTH_RADIUS * (b.to_radians_as_c() - a.to_radians_as_c()).abs()
}

/// Degrees that so many metres are, along a circle that is `shrunk` times as long as a meridian.
pub(super) fn degrees(metres: f64, shrunk: f64) -> f64 {
    metres / EARTH_RADIUS / shrunk / RADIANS
}

const RADIANS: f64 = std::f64::consts::PI / 180.0;

/// Degrees to radians with the rounding that Redis's results have.
pub(super) trait ToRadians {
    fn to_radians_as_c(self) -> f64;
}

impl ToRadians for f64 {
    #[inline]
    fn to_radians_as_c(self) -> f64 {
        self * RADIANS
    }
}

/// The bits of a place; the lowest belong to the latitude.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both offsets are at least 0 and below 2^26, or on the map's edge"
)]
fn interleaved(point: Point, latitude_max: f64, steps: u32) -> u64 {
    let scale = f64::from(1u32 << steps);
    let offset = |degrees: f64, max: f64| ((degrees + max) / (max * 2.0) * scale) as u32;
    spread(offset(point.latitude, latitude_max))
        | spread(offset(point.longitude, LONGITUDE_MAX)) << 1
}

/// Halves of a word: their bits move apart by half as far in each step.
const HALVES: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, NORTH_BITS),
];

/// Puts a zero before each bit.
#[inline]
fn spread(bits: u32) -> u64 {
    let halves = HALVES.iter();
    halves.fold(u64::from(bits), |bits, (by, mask)| {
        (bits | bits << by) & mask
    })
}

/// Takes every other bit.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn gather(bits: u64) -> u32 {
    let mut bits = bits & NORTH_BITS;
    for ((by, _), (_, mask)) in HALVES.iter().rev().zip(HALVES.iter().rev().skip(1)) {
        bits = (bits | bits >> by) & mask;
    }
    (bits | bits >> 16) as u32
}

impl Cell {
    /// The cell that a place is in.
    pub(super) fn of(point: Point, steps: u32) -> Self {
        Self {
            bits: interleaved(point, LATITUDE_MAX, steps),
            steps,
        }
    }

    pub(super) fn area(self) -> Area {
        let scale = f64::from(1u32 << self.steps);
        let range = |offset: u32, max: f64| {
            let at = |offset: f64| -max + offset / scale * (max * 2.0);
            at(f64::from(offset))..at(f64::from(offset) + 1.0)
        };
        Area {
            longitude: range(gather(self.bits >> 1), LONGITUDE_MAX),
            latitude: range(gather(self.bits), LATITUDE_MAX),
        }
    }

    /// The scores of the places in the cell.
    pub(super) fn scores(self) -> Range<f64> {
        let shift = 2 * (STEPS_MAX - self.steps);
        ((self.bits << shift) as f64)..((self.bits.wrapping_add(1) << shift) as f64)
    }

    /// The cell so many to the east and to the north, around the globe.
    pub(super) fn neighbour(self, east: i32, north: i32) -> Self {
        let mask = u64::MAX >> (64 - 2 * self.steps);
        // One to the east: ones in the gaps carry from bit to bit. Back: zeros there borrow. At
        // the map's edge a place has a bit too many, which stays unless the cell moves.
        let moved = |own: u64, one: u64, by: i32| match by {
            0 => self.bits & own,
            1.. => (self.bits | !own).wrapping_add(one) & own & mask,
            _ => (self.bits & own).wrapping_sub(one) & own & mask,
        };
        let (eastern, northern) = (moved(EAST_BITS, 2, east), moved(NORTH_BITS, 1, north));
        Self {
            bits: eastern | northern,
            steps: self.steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PALERMO: Point = Point {
        longitude: 13.361_389,
        latitude: 38.115_556,
    };
    const CATANIA: Point = Point {
        longitude: 15.087_269,
        latitude: 37.502_669,
    };

    #[test]
    fn places_have_the_scores_and_texts_of_redis() {
        // From a redis-server 7.0.15.
        assert_eq!(PALERMO.score(), 3_479_099_956_230_698.0);
        assert_eq!(CATANIA.score(), 3_479_447_370_796_909.0);
        let palermo = Point::of_score(PALERMO.score());
        let catania = Point::of_score(CATANIA.score());
        assert_eq!(&palermo.geohash(), b"sqc8b49rny0");
        assert_eq!(&catania.geohash(), b"sqdtr74hyu0");
        assert_eq!(format!("{:.4}", palermo.distance(catania)), "166274.1516");
    }

    #[test]
    fn scores_that_are_no_places_name_those_that_they_do_in_redis() {
        // From a redis-server 7.0.15.
        for (score, east, north) in [
            (-1.0, true, true),
            (f64::NEG_INFINITY, true, false),
            (f64::INFINITY, false, false),
            (1e30, false, false),
            (9_223_372_036_854_775_808.0, true, false),
            (4_503_599_627_370_497.0, false, true),
            (1e19, true, true),
            (-1e30, true, false),
        ] {
            let place = Point::of_score(score);
            assert_eq!(
                (place.longitude > 0.0, place.latitude > 0.0),
                (east, north),
                "{score}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_neighbour_is_next_to_its_cell(
            longitude in -170.0..170.0f64, latitude in -80.0..80.0f64, steps in 6u32..26,
        ) {
            let cell = Cell::of(Point { longitude, latitude }, steps);
            let here = cell.area();
            let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
            let east = cell.neighbour(1, 0).area();
            prop_assert!(near(east.longitude.start, here.longitude.end));
            prop_assert!(near(east.latitude.start, here.latitude.start));
            let north_west = cell.neighbour(-1, 1).area();
            prop_assert!(near(north_west.longitude.end, here.longitude.start));
            prop_assert!(near(north_west.latitude.start, here.latitude.end));
            let south = cell.neighbour(0, -1).area();
            prop_assert!(near(south.latitude.end, here.latitude.start));
            prop_assert_eq!(cell.neighbour(1, 1).neighbour(-1, -1), cell);
        }

        #[test]
        fn bits_are_spread_and_gathered_one_by_one(bits in any::<u32>(), others in any::<u64>()) {
            let slowly = (0..32).fold(0, |sum, at| sum | u64::from(bits >> at & 1) << (2 * at));
            prop_assert_eq!(spread(bits), slowly);
            prop_assert_eq!(gather(slowly), bits);
            prop_assert_eq!(gather(slowly | (others & EAST_BITS)), bits);
        }

        #[test]
        fn what_is_surely_beyond_a_radius_is_beyond_it(
            longitude in -180.0..180.0f64, latitude in -85.0..85.0f64,
            east in -1.0..1.0f64, north in -1.0..1.0f64,
            size in -8i32..3, share in 0.5..1.5f64,
        ) {
            let here = Point { longitude, latitude };
            let there = Point {
                longitude: longitude + east * 10f64.powi(size),
                latitude: latitude + north * 10f64.powi(size),
            };
            let origin = Origin::new(here);
            let distance = origin.distance(there);
            prop_assert_eq!(distance.to_bits(), here.distance(there).to_bits());
            let radius = distance * share;
            if origin.is_surely_beyond(Radius::of(radius), there) {
                prop_assert!(distance > radius);
            }
            prop_assert!(!origin.is_surely_beyond(Radius::of(distance), there));
            // Near by, hardly anything is left in doubt.
            if size < 0 && latitude.abs() < 60.0 {
                prop_assert!(origin.is_surely_beyond(Radius::of(distance * 0.8), there));
            }
        }

        #[test]
        fn a_place_is_found_again(longitude in -180.0..180.0f64, latitude in -85.0..85.0f64) {
            let place = Point { longitude, latitude };
            let found = Point::of_score(place.score());
            prop_assert!(place.distance(found) < 1.0);
            prop_assert!(Cell::of(place, 10).scores().contains(&place.score()));
        }
    }
}
