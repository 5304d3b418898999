package interest

const (
	vecBits = 12
	vecSeg  = 1 << vecBits
)

// vec is an array in segments, addressed by number. It never moves more than
// one segment's worth of elements when it grows, so that whoever holds the
// write lock holds it briefly; the first segment starts small for the sake of
// small accounts. A pointer from at is good until the next push.
type vec[T any] struct {
	segs [][]T
	n    uint32
}

func (v *vec[T]) at(i uint32) *T { return &v.segs[i>>vecBits][i&(vecSeg-1)] }

// push appends x and returns its number.
func (v *vec[T]) push(x T) uint32 {
	s := int(v.n >> vecBits)
	if s == len(v.segs) {
		size := 4
		if s > 0 {
			size = vecSeg
		}
		v.segs = append(v.segs, make([]T, 0, size))
	}
	seg := v.segs[s]
	if len(seg) == cap(seg) {
		grown := make([]T, len(seg), min(vecSeg, 4+len(seg)+len(seg)/2))
		copy(grown, seg)
		seg = grown
	}
	v.segs[s] = append(seg, x)
	v.n++
	return v.n - 1
}
