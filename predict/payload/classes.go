package payload

import "github.com/forgo-ml/forgo/predict/tensor"

// Classes reads the classes of a labelled answer, a list of {"label": …, "score": …}. It calls class for each. A
// score that is null is NaN.
func (r *Reader) Classes(class func(label string, score float32)) error {
	return r.List(func(int) error {
		var label string
		var score float32
		err := r.Object(func(name string) (err error) {
			switch name {
			case "label":
				label, err = r.Text()
			case "score":
				var t tensor.Tensor
				if t, err = r.Input(tensor.Spec{Name: name, DType: tensor.Float32, Shape: []int64{-1}}, false); err == nil {
					score = t.Data.([]float32)[0]
				}
			default:
				_, err = r.Raw()
			}
			return err
		})
		if err == nil {
			class(label, score)
		}
		return err
	})
}
